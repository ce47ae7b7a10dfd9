"""A program that microgd wrote: expression, and its backward pass."""

def expression(a, b, c, f):
    e = a * b
    d = e + c
    L = d * f

    # Backward: d_NAME is d L / d NAME.
    d_L = 1.0

    # back through L = d * f
    d_d = d_L * f
    d_f = d_L * d

    # back through d = e + c
    d_e = d_d
    d_c = d_d

    # back through e = a * b
    d_a = d_e * b
    d_b = d_e * a

    return L, d_a, d_b, d_c, d_f
