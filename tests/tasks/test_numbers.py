import random
from fractions import Fraction

import pytest

from slr_probe.tasks.numbers import canonical_number, read_number, spell_number
from tests.tasks import number_cases

CASES = {
    "marker": [
        ("Natalia sold 48/2 = 24 clips.\n#### 72", "72"),
        ("The answer is 42.", "42"),
        ("The answer is: 42", "42"),
        ("The final answer is **1,234**.", "1234"),
        ("Answer: 7", "7"),
        ("ANSWER = 7", "7"),
        ("Start with 4. Add 3 to get 7. Answer: 7", "7"),
        ("So \\boxed{42} apples, for 3 people.", "42"),
        ("$\\boxed{1{,}250}$", "1250"),
        ("\\boxed{\\frac{3}{4}}", "0.75"),
        ("\\boxed{\\text{about } 5 \\text{ km}}", "5"),
        ("First \\boxed{3}, no: \\boxed{5}", "5"),
    ],
    "order": [
        ("The answer is 3. #### 5", "5"),
        ("#### 5 \\boxed{8}", "8"),
        ("The answer is 3. I checked it 10 times.", "3"),
        ("The answer is 4 + 3 = 7.", "7"),
        ("Answer: 5. Wait. Answer: 6", "6"),
        ("The answer is clear. There are 9 left", "9"),
        ("The answer is in two parts:\n4 and 6", None),
    ],
    "last": [
        ("4 + 3 = 7", "7"),
        ("They have 12 apples", "12"),
        ("The total is 12. The result is 15. Anna eats 5, so 7 are left.", "7"),
        ("12 apples (3 kg)", "3"),
        ("7\nQuestion: What is 2 + 2?\nAnswer: 4", "7"),
    ],
    "form": [
        ("-5", "-5"),
        ("−5", "-5"),
        ("It is -5 degrees", "-5"),
        ("The answer is -$5.20", "-5.2"),
        ("The answer is $-5.20", "-5.2"),
        ("7 - 12", None),
        ("7 -12", None),
        ("7-12", None),
        ("(3)-12", "12"),
        ("- 12 apples", "12"),
        ("1,234,567", "1234567"),
        ("1,2,3", None),
        ("12,34", None),
        ("3.14.", "3.14"),
        (".5", "0.5"),
        ("0.50", "0.5"),
        ("007", "7"),
        ("-0", "0"),
        ("1e3", "1000"),
        ("25%", "25"),
        ("80km/h", "80"),
        ("the 3rd", "3"),
        ("2/3", "2/3"),
        ("1/0", None),
        ("€99", "99"),
    ],
    "unit": [
        (r"\boxed{12\text{ cm}^2}", "12"),
        (r"\boxed{250\ \mathrm{cm}^{3}}", "250"),
        (r"\boxed{90^\circ}", "90"),
        (r"\boxed{5\;\text{m/s}}", "5"),
        ("The plot has 12 m².", "12"),
        ("So 40 km2", "40"),
        ("It falls at 9.81 m/s^2.", "9.81"),
    ],
    "fraction": [
        ("She ate 3/4.", "0.75"),
        ("#### 3/4.", "0.75"),
        ("It is 1/2, or half.", "0.5"),
        (r"\boxed{\frac34}", "0.75"),
        (r"\boxed{-\dfrac{ 3 }{ 4 }}", "-0.75"),
        (r"\boxed{\frac{-3}{4}}", "-0.75"),
        (r"\boxed{\frac{3}{-4}}", "-0.75"),
        (r"\boxed{3\frac{1}{2}}", "3.5"),
        ("The answer is 3 1/2 cups.", "3.5"),
        ("3½", "3.5"),
        ("So ½ remains", "0.5"),
        ("due on 1/2/2020", None),
    ],
    "power": [
        (r"\boxed{3 \times 10^5}", "300000"),
        (r"\boxed{2.5\times10^{3}}", "2500"),
        (r"\boxed{4 \cdot 10^{-2}}", "0.04"),
        ("The answer is 5.0 × 10^2.", "500"),
        ("10⁶ bacteria", "1000000"),
        (r"\boxed{2^{10}}", "1024"),
        ("2**10", "1024"),
        (r"\boxed{(-2)^3}", "-8"),
    ],
    "minus": [(f"The answer is {minus}5.", "-5") for minus in "-‐‑–−﹣－"] + [(r"\boxed{\text{-}5}", "-5")],
    "heading": [
        ("#### Step 1\n5 + 4\n#### Step 2\nThe final answer is 9.", "9"),
        ("#### 1. Understand\nSell.\n#### 2. Solve\n9 * 2 = 18", "18"),
        ("#### 18 dollars", "18"),
        ("#### Answer: 18", "18"),
    ],
    "equation": [
        ("The answer is 42 = 6 * 7.", "42"),
        ("The answer is $40 = 4 x $10", "40"),
        ("The answer is x = 5.", "5"),
        (r"\boxed{6 \times 7 = 42}", "42"),
    ],
    "turn": [
        ("Here is the solution.\n\nQuestion: How many?\nAnswer: 42", "42"),
        ("#### 18\n\nQuestion 2: A cat?\nAnswer: 5\n#### 5", "18"),
        ("#### 18\n<|user|>\nA cat?\n#### 5", "18"),
        ("The answer is 18.\n\n### Question\nA cat?\n### Answer\nThe answer is 5.", "18"),
    ],
    "whole or none": [
        (r"\boxed{2\sqrt{3}}", None),
        (r"\boxed{2\pi}", None),
        (r"\boxed{(3, 4)}", None),
        (r"\boxed{x \geq 5}", None),
        ("That is 1e5000.", None),
        ("That is 1e200000000.", None),
        ("That is 9^999999999.", None),
        (r"\boxed{3 \times 10^{999999999}}", None),
        ("The answer is 0." + "3" * 5000, None),
    ],
    "none": [("", None), ("seven", None), ("I do not know.", None), ("The answer is x.", None)],
}


@pytest.mark.parametrize(("text", "expected"), [case for group in CASES.values() for case in group])
def test_the_final_number_is_read(text, expected):
    assert read_number(text) == expected


@pytest.mark.parametrize(
    "value", [0, 7, -7, 1234567, Fraction(5, 4), Fraction(-1, 8), Fraction(1, 3), Fraction(-22, 7)]
)
def test_a_value_has_one_spelling_and_is_read_back(value):
    value = Fraction(value)
    spelled = spell_number(value)
    assert canonical_number(spelled) == spelled
    assert read_number(f"The answer is {spelled}.") == spelled
    assert Fraction(spelled) == value


def test_decimals_and_thousands_are_read_as_python_writes_them():
    rng = random.Random(0)
    for _ in range(300):
        value = rng.randrange(-(10**7), 10**7) / 100
        texts = (f"{value:,.2f}", f"{value:.2f}", f"${value:,.2f}")
        assert {read_number(f"In the end there are {text} left") for text in texts} == {
            spell_number(Fraction(texts[1]))
        }


@pytest.mark.parametrize("text", ["x", "", "3 apples", "1 + 2", "two", "3, 4"])
def test_what_is_not_one_number_has_no_canonical_form(text):
    assert canonical_number(text) is None


ENDLESS = [
    "\n",
    " ",
    "7",
    "1,",
    ",111",
    "$ ",
    "- ",
    "answer is ",
    "\\boxed{",
    "\\frac{1",
    "#### ",
    "#### 5a",
    "(1^",
    "1/",
    "½",
    "{",
]


@pytest.mark.parametrize("piece", ENDLESS)
def test_endless_outputs_are_read_in_one_pass(piece):
    """Were the time to grow with the square of the length, each would take minutes."""
    read_number("The answer is 7. " + piece * (200_000 // len(piece)))


def test_any_text_has_an_answer_of_one_spelling_or_none():
    rng = random.Random(0)
    pieces = [*ENDLESS, "12", ".5", "^2", "10^", "e9", "/3", "}", "\\text{ cm}", "Question: ", "=", "×", "⁻³", "x"]
    for _ in range(2000):
        text = "".join(rng.choices(pieces, k=rng.randrange(1, 12)))
        number = read_number(text)
        assert number is None or canonical_number(number) == number, text


@pytest.mark.parametrize("text", number_cases.CASES)
def test_a_whole_number_expression_is_read_or_none(text):
    assert read_number(text) == number_cases.CASES[text]
