"""Word lists of the synthetic world. Every list is ordered from most to least typical."""

from __future__ import annotations


def _phrases(text: str) -> tuple[str, ...]:
    """The phrases of a text, which semicolons divide."""
    return tuple(" ".join(phrase.split()) for phrase in text.split(";"))


LETTERS = "AKMXJZBCTRSELQGPDHNFWVYIOU"
DIGITS = "7354286910"
SYMBOLS = "!?*#+@&%=$"
NUMBER_WORDS = ("seven", "three", "five", "four", "two", "eight", "six", "nine", "one", "ten")
NUMBER_ORDER = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

WORD_SETS: dict[str, tuple[str, ...]] = {
    "color": _phrases("blue; red; green; yellow; purple; orange; black; white; pink; brown"),
    "primary color": _phrases("blue; red; yellow"),
    "day of the week": _phrases("Monday; Friday; Wednesday; Sunday; Saturday; Tuesday; Thursday"),
    "weekday": _phrases("Monday; Friday; Wednesday; Tuesday; Thursday"),
    "weekend day": _phrases("Sunday; Saturday"),
    "month": _phrases(
        "July; June; May; December; March; October; April; August; January; September; November; February"
    ),
    "season": _phrases("summer; spring; winter; autumn"),
    "card suit": _phrases("hearts; spades; diamonds; clubs"),
    "compass direction": _phrases("north; south; east; west"),
    "planet": _phrases("Mars; Earth; Jupiter; Saturn; Venus; Neptune; Mercury; Uranus"),
    "animal": _phrases("cat; dog; lion; horse; bird; rabbit; fish; bear; fox; cow; goat; sheep; pig; hen"),
    "farm animal": _phrases("horse; cow; goat; sheep; pig; hen"),
    "pet": _phrases("cat; dog; bird; rabbit; fish"),
    "fruit": _phrases("apple; banana; mango; grape; pear; peach; lemon; plum; cherry"),
    "vegetable": _phrases("carrot; potato; onion; corn"),
    "side of a coin": _phrases("heads; tails"),
    "meal": _phrases("lunch; dinner; breakfast"),
    "shape": _phrases("circle; square; triangle; star"),
    "metal": _phrases("gold; silver; iron; copper"),
    "kind of weather": _phrases("rain; sun; snow; wind"),
    "drink": _phrases("water; tea; coffee; milk; juice"),
    "musical instrument": _phrases("piano; guitar; drum; violin; flute"),
    "size": _phrases("medium; large; small"),
    "vehicle": _phrases("car; bus; train; bike; boat; plane"),
}

_LIST_THEMES = _phrases(
    """
    color; animal; fruit; drink; planet; month; day of the week; vehicle; musical instrument; shape; metal; vegetable;
    season; kind of weather
    """
)
LIST_POOLS = tuple(WORD_SETS[name] for name in _LIST_THEMES)

NAMES = ("Lily", "Tom", "Anna", "Ben", "Mia", "Sam", "Zoe", "Max", "Eva", "Leo")
HEROES = ("cat", "dog", "girl", "boy", "bear", "fox", "king", "rabbit", "bird", "horse")
HERO_ADJECTIVES = ("little", "brave", "kind", "old", "clever", "shy", "funny", "lazy", "quiet", "tiny")
PLACES = _phrases(
    """
    in a small village; near the forest; by the sea; on a farm; in a big city; on a hill; under a bridge;
    in a tall tower; beside a lake; in a cave
    """
)
GOALS = _phrases(
    """
    find a friend; see the sea; learn to sing; build a boat; win a race; bake a cake; climb the hill; catch a star;
    read a book; plant a tree
    """
)
PROBLEMS = _phrases(
    """
    it was too far; the rain began; the road was dark; nobody knew how; the wind was strong; it was too hard;
    the bridge was broken; it was late; the snow was deep; a bear was near
    """
)
HELPERS = _phrases(
    "a kind bird; an old man; a clever fox; a small mouse; a good friend; a wise woman; a big horse; the moon"
)
ENDINGS = _phrases(
    """
    lived happily ever after; was very happy; went home with a smile; laughed all night; slept well;
    never forgot that day; told everyone; danced in the rain; had a big dinner; was not afraid any more
    """
)
OPENINGS = _phrases(
    """
    Once upon a time,; One day,; Long ago,; One morning,; Far away,; Last night,; In the winter,; Many years ago,;
    On a cold day,; Not long ago,
    """
)

POEM_TOPICS = ("moon", "sea", "rain", "wind", "sun", "tree", "snow", "night", "river", "star")
RHYMES = (
    ("night", "light"),
    ("day", "way"),
    ("sea", "free"),
    ("sky", "high"),
    ("blue", "new"),
    ("rain", "again"),
    ("tree", "me"),
    ("gold", "cold"),
)
POEM_MOODS = ("soft", "bright", "calm", "wild", "slow", "deep", "sweet", "sad")
POEM_ACTS = ("sings", "shines", "sleeps", "waits", "dances", "calls", "moves", "falls")

JOKE_ACTS = _phrases(
    """
    cross the road; go to school; sit on the clock; bring a ladder; eat the book; jump in the lake; wear a hat;
    take a bath
    """
)
JOKE_REASONS = _phrases(
    """
    it saw a friend on the other side; it was hungry; it lost a bet; it wanted to be on time; the moon told it to;
    it had nothing to read; it was raining; its hat was late
    """
)

ITEMS = ("apples", "books", "coins", "cards", "eggs", "pens", "shells", "stamps", "cakes", "toys")
GAINS = ("buys", "finds", "gets", "wins")
LOSSES = ("gives away", "loses", "sells", "drops")

_QUESTIONS = """
What can you do on a rainy day?; Name something to do when it rains.; How can I spend a rainy day?
= read a book; play a game; bake a cake; draw a picture; sing a song; write a story; watch the rain; take a nap

What is a good gift for a friend?; Name a gift for a friend.; What can I give to a friend?
= a book; a card; some flowers; a cake; a hat; a toy; a plant; a song

What can you see in the sky?; Name something in the sky.; What is up in the sky?
= the sun; the moon; a bird; a star; a plane; a cloud; the rain; a kite

What can you find in a kitchen?; Name something in a kitchen.; What is in a kitchen?
= a spoon; a cup; a pan; a knife; a plate; a table; some bread; a pot

How can you learn something new?; Name a way to learn.; What helps you to learn?
= read a book; ask a teacher; try it every day; watch a friend; take a class; write it down; play a game; go to school

Where can people meet?; Name a place to meet.; What is a good place to meet a friend?
= in the park; at school; at home; by the lake; in the city; on the train; at a dinner; in the garden

What do people do in the morning?; Name something to do in the morning.; How can a day begin?
= drink coffee; eat breakfast; take a bath; read the news; walk the dog; go to work; feed the cat; make tea

What makes people happy?; Name something that makes you happy.; What is a thing to smile about?
= a good friend; the sun; a song; some cake; a funny story; the sea; a warm home; a new toy

What should I do when I am sad?; Name something that helps when you are sad.; How can a sad day get better?
= call a friend; take a walk; sing a song; drink tea; take a nap; write a poem; play a game; feed the birds

What grows in a garden?; Name something that grows in a garden.; What can I plant in a garden?
= a tree; some flowers; a carrot; an onion; corn; a plum tree; some grass; a potato
"""
QUESTIONS = tuple(
    (_phrases(ways), _phrases(answers))
    for ways, answers in (question.split("=") for question in _QUESTIONS.split("\n\n"))
)
"""Ways to ask one question, and the phrases that answer it."""
QUESTION_FRAMES = ("You can say {}.", "{}.", "Maybe {}.", "I think {}.", "For example, {}.", "How about {}?")
