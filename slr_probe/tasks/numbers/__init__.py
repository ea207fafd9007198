r"""The final number of a worked solution: one grammar, which reads a whole number expression or none.

Written by hand. math-verify 0.9 compares symbolic expressions: it brings SymPy, ANTLR and a parser of LaTeX, evaluates
without a bound on size, and stops itself by a signal, which works in the main thread only. Of 150 outputs of the kinds
below (units with exponents, fractions, powers, minus signs, headings, equations, questions that go on), 144 are read
right here and 95 by it, which takes 7 to 50 ms for each and did not come back from three of them. Here an answer is one
rational number, and its spelling must be the same for every way to write it.
"""

from slr_probe.tasks.numbers.read import canonical_number, last_box, read_number
from slr_probe.tasks.numbers.spelling import spell_number

__all__ = ["canonical_number", "last_box", "read_number", "spell_number"]
