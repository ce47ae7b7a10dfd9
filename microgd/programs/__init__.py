"""A computation written out as a NumPy program, and run as that program."""
