"""How written_out.py and written_network.py show the programs that microgd has written for them."""

import textwrap

import program


def options(doc):
    """The options of such a program, from the command line."""
    parser = program.parser(doc, saved="programs")
    parser.add_argument(
        "--numbers",
        action="store_true",
        help="show beside each line the number that it computes, or the shape of the array",
    )
    parser.add_argument(
        "--fast",
        action="store_true",
        help="also show the programs that run for speed, by train.fit(..., compiled=True)",
    )
    return program.options(parser)


def show(written, options):
    """Print a program; with --fast, also the one that runs for speed."""
    print(written.with_numbers() if options.numbers else written)
    if options.fast:
        program.say("For speed these calls are made, in place where that changes no result:")
        print(written.fast.strip("\n"), end="\n\n")


def save(written, path):
    """Write a program into a file, and say where it is."""
    written.save(path)
    print(f"program: {path}\n")


def look_at(written, lines):
    """Print what there is to say about some lines of a program, those that are in it."""
    its_lines = [line.split("  #")[0].strip() for line in str(written).splitlines()]
    print("What to look at:")
    for line, sentences in lines.items():
        if line not in its_lines:
            continue
        print(f"    {line}")
        print(textwrap.indent(textwrap.fill(sentences, 88), " " * 8))
    print()
