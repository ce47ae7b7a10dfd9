"""The pictures that the programs save: a file draws those of the program that has its name, and
`bowls` what several of them draw.
"""
