"""Write what can be pasted into a bug report: no secret, no name of the user, no home folder."""

import re
from collections.abc import Iterable, Mapping, Sequence

from mlxd.protocol.units import format_size
from mlxd.supervisor.doctor.facts import Facts
from mlxd.supervisor.doctor.finding import Finding

_SHORTEST_SECRET = 4
_SECRETS = re.compile(
    r"\b(?:hf|sk|mlxd|ghp|pk)[_-][A-Za-z0-9_-]{8,}"
    r"|(?i:(?<=bearer )\S+)"
    r"|(?i:(?<=api_key[=:])\s*[^\s,}]+|(?<=token[=:])\s*[^\s,}]+|(?<=x-api-key[=:])\s*[^\s,}]+)"
)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+:[^/@\s]+(?=@)")
_HIDDEN = "<secret>"


def redact(text: str, *, home: str, user: str, secrets: Iterable[str] = ()) -> str:
    """Return the text without what belongs to its user alone."""
    for secret in sorted({s for s in secrets if len(s) >= _SHORTEST_SECRET}, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    text = _CREDENTIALS.sub(_HIDDEN, _SECRETS.sub(_HIDDEN, text))
    if len(home) > 1:
        text = text.replace(home, "~")
    return re.sub(rf"\b{re.escape(user)}\b", "<user>", text) if user else text


def write(facts: Facts, findings: Mapping[str, Finding], log: Sequence[str]) -> str:
    """Return the report as Markdown, not redacted yet."""
    checks = "".join(
        f"- {found.verdict} {name}: {found.says}\n" for name, found in findings.items()
    )
    variables = "".join(f"{name}={value}\n" for name, value in facts.environment.items())
    paths = facts.paths
    return f"""\
### mlxd {facts.version}

- {facts.system}, Python {facts.python}, {format_size(facts.total_bytes)} of memory
- configuration {paths.config_file}, state {paths.state_dir}, logs {paths.log_dir}, models {paths.hub_cache}

{checks}
```
{variables}```

The end of mlxd.log:

```
{chr(10).join(log)}
```
"""
