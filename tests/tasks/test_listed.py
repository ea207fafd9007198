import pytest

from slr_probe.tasks.listed import plain_words, read_exact, read_listed

COUNTRIES = (
    ("Guinea",),
    ("Guinea-Bissau",),
    ("Niger",),
    ("Nigeria",),
    ("Ivory Coast", "Côte d'Ivoire"),
    ("São Tomé and Príncipe", "São Tomé"),
    ("Chad",),
)
MONTHS = (("March",), ("May",), ("July",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Guinea", "Guinea"),
        ("guinea bissau", "Guinea-Bissau"),
        ("GUINEA-BISSAU!", "Guinea-Bissau"),
        ("Nigeria", "Nigeria"),
        ("Niger.", "Niger"),
        ("Niger's neighbor is Nigeria", "Niger"),
        ("cote d’ivoire", "Ivory Coast"),
        ("Cote dIvoire", "Ivory Coast"),
        ("Sao Tome & Principe", "São Tomé and Príncipe"),
        ("SÃO TOMÉ", "São Tomé and Príncipe"),
        ("I would name Chad, since Niger was named before.", "Chad"),
        ("my friend chad lives in Niger", "Niger"),
        ("chad", "Chad"),
        ("**Chad**", "Chad"),
        ("Nigerian", "nigerian"),
        ("France, of course.\nOr Spain.", "france of course"),
        ("\n\n  Peru\nQuestion: Another one?\nAnswer: Chad", "peru"),
    ],
)
def test_the_first_accepted_answer_is_read(text, expected):
    assert read_listed(COUNTRIES, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("You may choose July.", "July"),
        ("May or July", "May"),
        ("may", "May"),
        ("it may be in march", "May"),
        ("MARCH", "March"),
    ],
)
def test_an_ordinary_word_counts_only_where_nothing_else_does(text, expected):
    assert read_listed(MONTHS, text) == expected


@pytest.mark.parametrize(
    "text", ["", "  \n", "?!", "I'm sorry.", "I cannot help with that.", "As an AI, I have no home.", "I don't know."]
)
def test_a_refusal_and_nothing_are_no_answer(text):
    assert read_listed(COUNTRIES, text) is None
    assert read_exact(COUNTRIES, text) is None


def test_a_refusal_that_names_an_answer_gives_it():
    assert read_listed(COUNTRIES, "I'm sorry, I do not know any but Niger.") == "Niger"


def test_exact_means_the_whole_reply_or_its_first_line():
    answers = (("a book", "Maybe a book."), ("some flowers",))
    assert read_exact(answers, "Maybe a book") == "a book"
    assert read_exact(answers, "SOME FLOWERS!") == "some flowers"
    assert read_exact(answers, "a book\nand more") == "a book"
    assert read_exact(answers, "read a book") == "read a book"


def test_words_without_diacritics():
    assert plain_words("Ærø, Łódź & Straße") == "Aero Lodz Strasse"


@pytest.mark.parametrize(
    ("answers", "text", "expected"),
    [
        ("红色 蓝色", "我最喜欢的颜色是蓝色。", "蓝色"),
        ("東京 大阪", "日本の首都は東京です。", "東京"),
        ("서울 부산", "수도는 서울입니다.", "서울"),
        ("서울 부산", "남서울", "남서울"),
        ("แดง เขียว", "ฉันชอบสีแดง", "แดง"),
        ("ก ปลา", "กิน", "กิน"),
        ("दाल रोटी", "मुझे दाल पसंद है", "दाल"),
        ("दाल रोटी", "दिल", "दिल"),
        ("はす いぬ", "ばす", "ばす"),
        ("バラ ユリ", "ﾊﾞﾗ", "バラ"),
        ("бой кот", "бои", "бои"),
        ("ёлка кот", "Елка!", "ёлка"),
        ("كتاب قلم", "هٰذا كِتَاب", "كتاب"),
        ("Hà_Nội Huế", "hà nội", "Hà_Nội"),
    ],
)
def test_scripts_keep_the_signs_that_make_another_letter(answers, text, expected):
    assert read_listed(tuple((answer,) for answer in answers.split()), text) == expected
