"""The pictures that the programs save, and the longer tables that they print.

A file belongs to the program that has its name. `curves` draws for slope.py and minimum.py, and
`bowls` draws what several programs need.
"""
