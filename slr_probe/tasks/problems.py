"""Templates of word problems in two to five steps; all numbers stand in the text as digits."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction

Problem = tuple[str, Fraction]

_WOMEN = ("Amira", "Clara", "Elif", "Grace", "Ingrid", "Keiko", "Maya", "Olivia", "Priya", "Sofia")
_MEN = ("Bruno", "Daniel", "Felix", "Hugo", "Jamal", "Luis", "Nikolai", "Rafael")
_PEOPLE = tuple(sorted([(name, "she") for name in _WOMEN] + [(name, "he") for name in _MEN]))


def _money(cents: int) -> str:
    return f"${cents // 100}" if cents % 100 == 0 else f"${cents // 100}.{cents % 100:02d}"


def change(rng: random.Random) -> Problem:
    """Prices times numbers, added, taken from a note."""
    name, he = rng.choice(_PEOPLE)
    first, second = rng.sample(("notebooks", "pens", "markers", "erasers", "folders", "postcards", "stickers"), 2)
    a, b = rng.randrange(2, 7), rng.randrange(2, 9)
    p, q = rng.randrange(3, 16) * 25, rng.randrange(2, 9) * 25
    total = a * p + b * q
    note = next(note for note in (20, 50, 100) if note * 100 > total)
    text = (
        f"{name} buys {a} {first} at {_money(p)} each and {b} {second} at {_money(q)} each. If {he} pays with a "
        f"${note} bill, how many dollars does {name} get back?"
    )
    return text, Fraction(note * 100 - total, 100)


def saving(rng: random.Random) -> Problem:
    """Weeks until a goal is reached."""
    name, he = rng.choice(_PEOPLE)
    start, weeks = rng.randrange(10, 80), rng.randrange(4, 16)
    earned, spent = rng.randrange(15, 40), rng.randrange(3, 12)
    thing = rng.choice(("bicycle", "guitar", "camera", "tent", "skateboard", "telescope"))
    cost = start + weeks * (earned - spent)
    text = (
        f"{name} wants to buy a {thing} that costs ${cost}. {name} already has ${start}. Every week {he} earns "
        f"${earned} by walking dogs and spends ${spent} on snacks. After how many weeks can {name} pay for the "
        f"{thing}?"
    )
    return text, Fraction(weeks)


def bakery(rng: random.Random) -> Problem:
    """Trays, sales, and half of the rest."""
    trays, each = rng.randrange(3, 10), rng.choice((12, 16, 18, 24))
    sold = rng.randrange(5, trays * each // 2)
    sold -= (trays * each - sold) % 2
    thing = rng.choice(("muffins", "rolls", "cupcakes", "scones", "croissants"))
    text = (
        f"A bakery makes {trays} trays of {thing} with {each} {thing} on each tray. In the morning it sells {sold} of "
        f"them. In the afternoon it sells half of those that remain. How many {thing} are left in the evening?"
    )
    return text, Fraction(trays * each - sold, 2)


def trip(rng: random.Random) -> Problem:
    """Two stretches out, one speed back."""
    vehicle = rng.choice(("train", "bus", "truck", "coach"))
    while True:
        slow, fast = rng.randrange(8, 14) * 5, rng.randrange(15, 24) * 5
        first, second, back = rng.randrange(1, 5), rng.randrange(1, 5), rng.randrange(2, 7)
        distance = slow * first + fast * second
        if distance % back == 0 and 45 <= distance // back <= 130:
            break
    plural = {True: "hour", False: "hours"}
    text = (
        f"A {vehicle} travels at {slow} km per hour for {first} {plural[first == 1]} and then at {fast} km per hour "
        f"for {second} {plural[second == 1]}. It returns along the same route in {back} hours at a constant speed. "
        "What is its speed on the way back, in km per hour?"
    )
    return text, Fraction(distance, back)


def ages(rng: random.Random) -> Problem:
    """A relation between two ages in some years."""
    (older, _), (younger, _) = rng.sample(_PEOPLE, 2)
    later = rng.randrange(2, 9)
    gap = later + rng.randrange(3, 20)
    text = (
        f"{older} is {gap} years older than {younger}. In {later} years, {older} will be exactly twice as old as "
        f"{younger}. How old is {older} now?"
    )
    return text, Fraction(2 * gap - later)


def fence(rng: random.Random) -> Problem:
    """Perimeter without a gate, times a price."""
    width, longer, gate = rng.randrange(6, 20), rng.randrange(2, 12), rng.randrange(2, 5)
    price = rng.randrange(7, 25)
    place = rng.choice(("garden", "meadow", "playground", "vegetable field"))
    text = (
        f"A rectangular {place} is {width} meters wide, and its length is {longer} meters more than its width. It is "
        f"to be fenced all the way around, except for a gate that is {gate} meters wide. One meter of fence costs "
        f"${price}. How many dollars does the fence cost?"
    )
    return text, Fraction((4 * width + 2 * longer - gate) * price)


def recipe(rng: random.Random) -> Problem:
    """Amounts for more people, less what is in the cupboard."""
    name, he = rng.choice(_PEOPLE)
    people, factor = rng.choice((2, 4, 6)), rng.randrange(2, 5)
    flour, sugar = rng.randrange(6, 16) * 20, rng.randrange(2, 8) * 15
    stock = rng.randrange(5, 20) * 5
    text = (
        f"A recipe for {people} people needs {flour} grams of flour and {sugar} grams of sugar. {name} wants to cook "
        f"for {people * factor} people and already has {stock} grams of flour, but no sugar. How many grams of flour "
        f"and sugar together does {he} still have to buy?"
    )
    return text, Fraction((flour + sugar) * factor - stock)


def discount(rng: random.Random) -> Problem:
    """A percentage off, then a voucher, times a number of pieces."""
    name, _ = rng.choice(_PEOPLE)
    price, percent = rng.randrange(3, 13) * 20, rng.choice((10, 15, 20, 25, 30, 40))
    pieces, voucher = rng.randrange(2, 5), rng.randrange(3, 20)
    thing = rng.choice(("chairs", "jackets", "lamps", "backpacks", "blankets"))
    text = (
        f"A shop sells {thing} for ${price} each. During a sale the price is reduced by {percent} percent. {name} "
        f"buys {pieces} {thing} at the sale price and uses a voucher that takes ${voucher} off the whole bill. How "
        f"many dollars does {name} pay?"
    )
    return text, Fraction(price * (100 - percent) * pieces, 100) - voucher


def reading(rng: random.Random) -> Problem:
    """Two paces, total number of days."""
    name, he = rng.choice(_PEOPLE)
    slow, days, fast, rest = rng.randrange(8, 20), rng.randrange(3, 9), rng.randrange(21, 40), rng.randrange(3, 10)
    text = (
        f"A novel has {slow * days + fast * rest} pages. {name} reads {slow} pages a day for the first {days} days. "
        f"After that {he} reads {fast} pages a day until the novel is finished. On how many days does {name} read in "
        "total?"
    )
    return text, Fraction(days + rest)


def factory(rng: random.Random) -> Problem:
    """Two machines, faulty parts, boxes."""
    while True:
        rate, more, hours = rng.randrange(20, 60), rng.randrange(5, 20), rng.randrange(3, 9)
        faulty, box = rng.randrange(4, 30), rng.choice((6, 8, 10, 12))
        made = (2 * rate + more) * hours
        if (made - faulty) % box == 0:
            break
    part = rng.choice(("screws", "bolts", "toy cars", "light bulbs", "batteries"))
    text = (
        f"One machine makes {rate} {part} per hour, and a newer machine makes {more} more per hour than that. Both "
        f"run for {hours} hours. Then {faulty} faulty {part} are thrown away, and the others are packed into boxes of "
        f"{box}. How many boxes are filled?"
    )
    return text, Fraction(made - faulty, box)


def average(rng: random.Random) -> Problem:
    """The result that is missing from an average."""
    name, he = rng.choice(_PEOPLE)
    while True:
        a, b, c, mean = (rng.randrange(60, 96) for _ in range(4))
        if 50 <= 4 * mean - a - b - c <= 100:
            break
    text = (
        f"In the first three tests of the year {name} scored {a}, {b} and {c} points. How many points must {he} score "
        f"in the next test so that the average of all four tests is {mean}?"
    )
    return text, Fraction(4 * mean - a - b - c)


def legs(rng: random.Random) -> Problem:
    """Heads and legs."""
    birds, beasts = rng.randrange(4, 30), rng.randrange(3, 25)
    two, four = rng.choice((("chickens", "cows"), ("ducks", "sheep"), ("geese", "goats"), ("ostriches", "zebras")))
    text = (
        f"On a farm there are only {two} and {four}. Together they have {birds + beasts} heads and "
        f"{2 * birds + 4 * beasts} legs. How many {four} are there?"
    )
    return text, Fraction(beasts)


def tank(rng: random.Random) -> Problem:
    """Inflow and leak."""
    inflow, leak, minutes = rng.randrange(12, 40), rng.randrange(2, 10), rng.randrange(6, 25)
    volume = (inflow - leak) * minutes + rng.randrange(20, 300)
    vessel = rng.choice(("tank", "pool", "barrel", "fish pond"))
    text = (
        f"An empty {vessel} holds {volume} liters. Water flows in at {inflow} liters per minute, but {leak} liters "
        f"per minute leak out through a crack. How many liters are still missing after {minutes} minutes?"
    )
    return text, Fraction(volume - (inflow - leak) * minutes)


def theater(rng: random.Random) -> Problem:
    """Seats, two prices, revenue."""
    rows, seats = rng.randrange(8, 21), rng.randrange(10, 25)
    adult, child = rng.randrange(9, 20), rng.randrange(4, 9)
    children = rng.randrange(10, rows * seats // 2)
    place = rng.choice(("theater", "cinema", "circus", "puppet theater"))
    text = (
        f"A {place} has {rows} rows with {seats} seats each, and every seat is taken. A ticket costs ${adult} for "
        f"adults and ${child} for children. There are {children} children in the audience. How many dollars were paid "
        "for all the tickets?"
    )
    return text, Fraction((rows * seats - children) * adult + children * child)


def sharing(rng: random.Random) -> Problem:
    """Three amounts that depend on each other, shared equally."""
    (a, _), (b, _), (c, _) = rng.sample(_PEOPLE, 3)
    while True:
        own, times, fewer = rng.randrange(6, 30), rng.randrange(2, 5), rng.randrange(2, 12)
        total = own + 2 * times * own - fewer
        if total % 3 == 0:
            break
    thing = rng.choice(("marbles", "shells", "trading cards", "stamps", "coins"))
    text = (
        f"{a} has {own} {thing}. {b} has {times} times as many {thing} as {a}, and {c} has {fewer} fewer than {b}. "
        f"They put all their {thing} together and share them equally among the three of them. How many {thing} does "
        "each get?"
    )
    return text, Fraction(total, 3)


_MAKERS = (change, saving, bakery, trip, ages, fence, recipe, discount, reading, factory, average, legs, tank, theater)
TEMPLATES: dict[str, Callable[[random.Random], Problem]] = {maker.__name__: maker for maker in (*_MAKERS, sharing)}
