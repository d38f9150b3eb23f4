"""Keep answers as models write them in every format of calls that mlx-lm reads, and in channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from support.call_formats import FORMATS, HARMONY_MARKERS, KIMI_MARKERS
from support.tokenizers import byte_tokenizer

CITY = "Zürich 🙂 a<b"
THOUGHT = "Is 2 < 3? <b>Läßt sich</b> sagen."
Call = tuple[str, dict[str, Any]]
WEATHER: Call = ("get_weather", {"city": CITY, "days": 3})
ROME: Call = ("get_weather", {"city": "Rome", "days": 1})


@dataclass(frozen=True)
class Recording:
    """Hold one format with how it writes the two calls."""

    parser: str
    """The module of mlx-lm's that reads it; none for channels, which are read here."""
    template: str
    markers: tuple[str, ...]
    begin: str
    between: str
    end: str
    calls: tuple[str, ...]
    broken: str = ""
    """A call that is none."""
    think: tuple[str, str] = ("<think>\n", "\n</think>\n\n")

    def tokenizer(self, *, with_markers: bool) -> Any:
        """Return a tokenizer whose other tokens are bytes."""
        thinking = ("<think>", "</think>") if self.think[0].startswith("<think>") else ()
        always = KIMI_K3 if self.parser == "kimi_k3" else ()  # it is known by them
        return byte_tokenizer(
            self.template, (*thinking, *(self.markers if with_markers else always))
        )

    def one(self) -> str:
        """Return an answer with one call."""
        return f"{self.begin}{self.calls[0]}{self.end}"

    def two(self) -> str:
        """Return an answer with two."""
        return f"{self.begin}{self.between.join(self.calls)}{self.end}"


KIMI_K3 = ("<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>")
_BOTH = (f'"city": "{CITY}", "days": 3', '"city": "Rome", "days": 1')


def _tags(shape: str, named: str, *, cities: Sequence[str] = (CITY, "Rome")) -> tuple[str, ...]:
    """Return the two calls written with a tag for each argument."""

    def written(city: str, days: int) -> str:
        arguments = named.format("city", city) + named.format("days", days)
        return shape.replace("ARGUMENTS", arguments)

    return written(cities[0], 3), written(cities[1], 1)


_GLM = _tags("get_weather\nARGUMENTS", "<arg_key>{}</arg_key>\n<arg_value>{}</arg_value>\n")
_LONGCAT = _tags(
    "get_weather\nARGUMENTS",
    "<longcat_arg_key>{}</longcat_arg_key>\n<longcat_arg_value>{}</longcat_arg_value>\n",
)
_QWEN = _tags(
    "\n<function=get_weather>\nARGUMENTS</function>\n", "<parameter={}>\n{}\n</parameter>\n"
)
_MINIMAX = _tags(
    '\n<invoke name="get_weather">\nARGUMENTS</invoke>\n', '<parameter name="{}">{}</parameter>\n'
)
_MUSE = _tags(
    '\n<atem:invoke name="get_weather">\nARGUMENTS</atem:invoke>\n',
    '<atem:parameter name="{}">{}</atem:parameter>\n',
)
_MINICPM = _tags('"get_weather">ARGUMENTS', '<param name="{}"><![CDATA[{}]]></param>')
_K3 = tuple(
    f'<|open|>call tool="get_weather" index="{at}"<|sep|>'
    f'<|open|>argument key="city" type="string"<|sep|>{city}<|close|>argument<|sep|>'
    f'<|open|>argument key="days" type="number"<|sep|>{days}<|close|>argument<|sep|><|close|>call<|sep|>'
    for at, city, days in ((1, CITY, 3), (2, "Rome", 1))
)
_HARMONY = tuple(
    f"<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{{{said}}}<|call|>"
    for said in _BOTH
)
_JSON = tuple(f'{{"name": "get_weather", "arguments": {{{said}}}}}' for said in _BOTH)
_KIMI = tuple(
    f"<|tool_call_begin|>functions.get_weather:{at}<|tool_call_argument_begin|>{{{said}}}<|tool_call_end|>"
    for at, said in enumerate(_BOTH)
)
_TEMPLATES = {form.name: form.template for form in FORMATS}
_TOOL = ("<tool_call>", "</tool_call>")

RECORDINGS = (
    Recording(
        "json_tools", _TEMPLATES["json_tools"], _TOOL, "<tool_call>\n", "\n</tool_call>\n<tool_call>\n",
        "\n</tool_call>", _JSON, broken='<tool_call>\n{"name": \n</tool_call>',
    ),
    Recording(
        "mistral", _TEMPLATES["mistral list"], ("[TOOL_CALLS]",), "[TOOL_CALLS][", ", ", "]", _JSON,
        broken='[TOOL_CALLS][{"name"',
    ),
    Recording(
        "mistral", _TEMPLATES["mistral headed"], ("[TOOL_CALLS]", "[ARGS]"), "[TOOL_CALLS]", "[TOOL_CALLS]", "",
        tuple(f"get_weather[ARGS]{{{said}}}" for said in _BOTH), broken="[TOOL_CALLS]get_weather[ARGS]{",
    ),
    Recording(
        "kimi_k2", _TEMPLATES["kimi_k2"], KIMI_MARKERS, KIMI_MARKERS[0], "", KIMI_MARKERS[1], _KIMI,
        broken=f"{KIMI_MARKERS[0]}<|tool_call_begin|>nobody<|tool_call_end|>{KIMI_MARKERS[1]}",
    ),
    Recording(
        "kimi_k3", "plain", KIMI_K3, "<|open|>tools<|sep|>", "", "<|close|>tools<|sep|>", _K3,
        broken="<|open|>tools<|sep|>x<|close|>tools<|sep|>",
    ),
    Recording(
        "longcat", _TEMPLATES["longcat"], ("<longcat_tool_call>", "</longcat_tool_call>"), "<longcat_tool_call>",
        "</longcat_tool_call>\n<longcat_tool_call>", "</longcat_tool_call>", _LONGCAT,
    ),
    Recording(
        "pythonic", _TEMPLATES["pythonic"], ("<|tool_call_start|>", "<|tool_call_end|>"), "<|tool_call_start|>[",
        ", ", "]<|tool_call_end|>",
        tuple(f'get_weather(city="{city}", days={days})' for city, days in ((CITY, 3), ("Rome", 1))),
        broken="<|tool_call_start|>[get_weather(<|tool_call_end|>",
    ),
    Recording(
        "qwen3_coder", _TEMPLATES["qwen3_coder"], _TOOL, "<tool_call>", "</tool_call>\n<tool_call>", "</tool_call>",
        _QWEN, broken="<tool_call>\n<function=\n</tool_call>",
    ),
    Recording(
        "minimax_m2", _TEMPLATES["minimax_m2"], ("<minimax:tool_call>", "</minimax:tool_call>"),
        "<minimax:tool_call>", "", "</minimax:tool_call>", _MINIMAX,
        broken="<minimax:tool_call>\n<invoke\n</minimax:tool_call>",
    ),
    Recording(
        "glm47", _TEMPLATES["glm47"], (*_TOOL, "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"),
        "<tool_call>", "</tool_call>\n<tool_call>", "</tool_call>", _GLM,
    ),
    Recording(
        "function_gemma", "<start_function_call>", ("<start_function_call>", "<end_function_call>", "<escape>"),
        "<start_function_call>", "<end_function_call><start_function_call>", "<end_function_call>",
        tuple(f"call:get_weather{{city:<escape>{city}<escape>,days:{n}}}" for city, n in ((CITY, 3), ("Rome", 1))),
        broken="<start_function_call>call<end_function_call>",
    ),
    Recording(
        "gemma4", "<|tool_call>x<tool_call|>", ("<|tool_call>", "<tool_call|>", '<|"|>'), "<|tool_call>",
        "<tool_call|><|tool_call>", "<tool_call|>",
        tuple(f'call:get_weather{{city:<|"|>{city}<|"|>,days:{n}}}' for city, n in ((CITY, 3), ("Rome", 1))),
        broken="<|tool_call>call<tool_call|>",
    ),
    Recording(
        "minicpm5", '<function name="f"><param name="p">', ("<function", "</function>"), "<function name=",
        "</function>\n<function name=", "</function>", _MINICPM,
    ),
    Recording(
        "muse_spark", "<atem:function_calls>", ("<atem:function_calls>", "</atem:function_calls>"),
        "<atem:function_calls>", "", "</atem:function_calls>", _MUSE,
        broken="<atem:function_calls>x</atem:function_calls>",
    ),
    Recording(
        "", _TEMPLATES["harmony"], HARMONY_MARKERS, "", "<|start|>assistant", "", _HARMONY,
        broken="<|channel|>commentary to=functions.get_weather<|message|>{<|call|>",
        think=("<|channel|>analysis<|message|>", "<|end|><|start|>assistant"),
    ),
)  # fmt: skip
SAME_AS = {"laguna": "glm47"}
"""Parsers that are another one by a second name."""
