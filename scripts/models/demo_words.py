"""The words, names and made-up names from which the training dialogues copy."""

import random
from typing import Final

CITIES: Final = """
Paris London Rome Berlin Madrid Oslo Vienna Lima Cairo Delhi Seoul Boston Dublin Prague Athens
Lisbon Kyoto Geneva Sydney Tokyo Beijing Moscow Warsaw Zurich Munich Hamburg Milan Naples Turin
Venice Florence Lyon Nice Marseille Lille Brussels Antwerp Rotterdam Amsterdam Copenhagen
Stockholm Helsinki Riga Vilnius Tallinn Kyiv Minsk Bucharest Sofia Belgrade Zagreb Budapest
Istanbul Ankara Tehran Baghdad Damascus Jerusalem Dubai Doha Mumbai Kolkata Chennai Bangkok Hanoi
Manila Jakarta Singapore Shanghai Osaka Sapporo Nagoya Melbourne Perth Brisbane Auckland
Wellington Honolulu Seattle Portland Denver Dallas Houston Austin Chicago Detroit Cleveland
Philadelphia Baltimore Washington Atlanta Miami Toronto Montreal Ottawa Vancouver Calgary Havana
Kingston Bogota Quito Santiago Montevideo Brasilia Recife Lagos Accra Nairobi Kampala Johannesburg
Casablanca Tunis Algiers Tripoli Dakar Bamako Harare Lusaka Glasgow Edinburgh Cardiff Belfast
Bristol Leeds Oxford Cambridge Cologne Frankfurt Stuttgart Dresden Leipzig Hanover Salzburg Graz
Basel Lucerne Valencia Seville Granada Bilbao Porto Braga Palermo Genoa Verona Krakow Gdansk
""".split()
LONG_CITIES: Final = [
    "New York",
    "Los Angeles",
    "San Francisco",
    "San Diego",
    "Las Vegas",
    "Mexico City",
    "Buenos Aires",
    "Sao Paulo",
    "Hong Kong",
    "Tel Aviv",
    "Cape Town",
    "Kuala Lumpur",
    "Abu Dhabi",
    "New Delhi",
    "Salt Lake City",
    "Saint Louis",
    "Addis Ababa",
    "Den Haag",
    "Paris, France",
    "London, UK",
    "Berlin, Germany",
    "Boston, MA",
    "Austin, Texas",
    "Rio de Janeiro",
    "Ho Chi Minh City",
    "Santa Fe",
    "Fort Worth",
    "San Jose",
]
PEOPLE: Final = """
Anna Ben Carla David Emma Felix Greta Hugo Ida Jonas Karin Leo Marta Nina Oscar Paula Quentin Rosa
Simon Tina Ursula Victor Wanda Xavier Yara Zoe Alice Bob Charlie Diana Erik Fatima George Hannah
Ivan Julia Kofi Linda Mei Noah Olga Peter Ravi Sara Tom Uma Vera Will Yusuf Zara
""".split()
LANGUAGES: Final = """
English French German Spanish Italian Polish Dutch Swedish Greek Turkish Arabic Hindi Korean
Japanese Portuguese Russian Latin Danish Czech Finnish
""".split()
WORDS: Final = """
red blue green yellow small big old new cold warm quick slow quiet loud bright dark round soft
apple bread cheese river mountain house garden window door table chair book letter paper pencil
music song picture camera train plane ship bicycle street bridge tower forest flower tree horse
cat dog bird fish mouse whale lion tiger rain snow wind cloud sun moon star night morning evening
water fire stone gold silver iron glass wood cotton paper sugar salt pepper coffee tea milk soup
hello world yes no okay pong ping ready done test one two three banana orange lemon kitchen
report invoice meeting lunch dinner holiday summer winter autumn spring monday friday today
""".split()
VERBS: Final = """
get find fetch look check read list open close set start stop send make run show query search load
play book order buy sell track count update delete create add call ask
""".split()
NOUNS: Final = """
user price stock order file note song room light door ticket flight hotel train recipe movie book
product account invoice message event task timer alarm score team player planet animal country
river street house device sensor report weather time date place item page record value code
""".split()
_ONSETS: Final = (
    "b c d f g h j k l m n p r s t v w z br ch cl dr fr gl kr pl qu sh sk sl st th tr".split()
)
_VOWELS: Final = "a e i o u a e i o ai ea ou ia y".split()
_CODAS: Final = [
    "",
    "",
    "",
    "n",
    "r",
    "s",
    "l",
    "t",
    "k",
    "m",
    "nd",
    "rt",
    "ck",
    "x",
    "v",
    "lm",
    "ng",
]


def invented(rng: random.Random, syllables: int | None = None) -> str:
    """Make up a lower-case word that can be pronounced, so that only copying gets it right."""
    count = syllables or rng.choice((1, 2, 2, 2, 3, 3))
    parts = []
    for number in range(count):
        onset = rng.choice(_ONSETS) if number or rng.random() < 0.8 else ""
        parts.append(onset + rng.choice(_VOWELS) + rng.choice(_CODAS))
    return "".join(parts)


def title(rng: random.Random) -> str:
    """Make up a capitalised name."""
    return invented(rng).capitalize()


def city(rng: random.Random) -> str:
    """Pick a city: mostly known or invented, sometimes of several words."""
    draw = rng.random()
    if draw < 0.35:
        return rng.choice(CITIES)
    if draw < 0.8:
        return title(rng)
    if draw < 0.9:
        return rng.choice(LONG_CITIES)
    return f"{title(rng)} {title(rng)}" if draw < 0.97 else f"{title(rng)}, {title(rng)}"


def person(rng: random.Random) -> str:
    """Pick the name of a person."""
    name = rng.choice(PEOPLE) if rng.random() < 0.4 else title(rng)
    return f"{name} {title(rng)}" if rng.random() < 0.15 else name


def word(rng: random.Random) -> str:
    """Pick a lower-case word, one in three made up."""
    return rng.choice(WORDS) if rng.random() < 0.65 else invented(rng)


def phrase(rng: random.Random, longest: int = 4) -> str:
    """Pick a few lower-case words."""
    return " ".join(word(rng) for _ in range(rng.randint(1, longest)))


def symbol(rng: random.Random) -> str:
    """Make up a short code of capitals and sometimes digits."""
    letters = "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(rng.randint(2, 4)))
    return letters + (str(rng.randint(1, 999)) if rng.random() < 0.3 else "")


def number(rng: random.Random) -> int:
    """Pick a number, small ones more often."""
    return rng.randint(0, rng.choice((9, 20, 99, 99, 999)))


def file_name(rng: random.Random) -> str:
    """Make up the name of a file."""
    stem = word(rng) if rng.random() < 0.7 else f"{word(rng)}_{word(rng)}"
    return f"{stem}.{rng.choice(('txt', 'md', 'py', 'json', 'csv', 'log', 'yaml'))}"


def function_name(rng: random.Random) -> str:
    """Make up the name of a function."""
    first = rng.choice(VERBS) if rng.random() < 0.7 else invented(rng, 2)
    second = rng.choice(NOUNS) if rng.random() < 0.6 else invented(rng, 2)
    draw = rng.random()
    if draw < 0.75:
        return f"{first}_{second}"
    if draw < 0.85:
        return first + second.capitalize()
    return second if draw < 0.93 else f"{first}_{rng.choice(NOUNS)}_{second}"


def saying(rng: random.Random) -> str:
    """Make up something to be repeated word for word."""
    kinds = (word, word, title, person, city, symbol, lambda r: str(number(r)))
    parts = [rng.choice(kinds)(rng) for _ in range(rng.choice((1, 1, 2, 2, 3, 4, 6)))]
    text = " ".join(parts)
    return text.capitalize() if rng.random() < 0.2 and text.islower() else text
