"""Child process that renders one chat template; nothing of qbench is loaded here.

Run by path as ``python -I _render.py DATE DIR...``: the directories hold jinja2 and markupsafe. An
empty answer says that the process is ready. The first line of standard input is the template (a
JSON string), answered by the names of the variables that it reads; every later line is one request
(a JSON object of variables), answered by one line.
Before it reads anything the process bounds its own memory, files and processor time; an audit hook
forbids files, processes and sockets once jinja2 is loaded. The sandbox is one layer, these limits
are the wall.
"""

from __future__ import annotations

import sys

sys.path[:0] = sys.argv[2:]

import datetime  # noqa: E402
import json  # noqa: E402
import resource  # noqa: E402
import signal  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any, NoReturn  # noqa: E402

import jinja2  # noqa: E402
import jinja2.debug  # noqa: E402
import jinja2.ext  # noqa: E402
import jinja2.meta  # noqa: E402
import jinja2.sandbox  # noqa: E402

CPU_SECONDS = 2
ADDRESS_SPACE = 512 << 20
OUTPUT_LIMIT = 1 << 20

FILTERS = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float",
    "groupby", "indent", "int", "items", "join", "last", "length", "list", "lower", "map",
    "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "safe", "select",
    "selectattr", "slice", "sort", "string", "sum", "title", "trim", "truncate", "unique",
    "upper", "wordcount",
)  # fmt: skip

WARM_UP = "{{ 'a\\n' | trim | tojson(indent=1) }}{{ 1.5 | round }}{{ strftime_now('%d %B') }}"
"""Makes Python load what it loads lazily (codecs, locale), which is forbidden afterwards."""

FORBIDDEN = ("open", "os.", "subprocess.", "socket.", "ctypes.", "shutil.", "import", "pty.",
             "signal.", "urllib.", "sys._", "gc.", "mmap.", "fcntl.", "tempfile.")  # fmt: skip


class Generation(jinja2.ext.Extension):
    """The ``{% generation %}`` block of training templates: rendered as its body."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        """Replace the block by what it encloses."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Namespace(jinja2.utils.Namespace):
    """A namespace without underscore names, which lead to Python's internals."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        for name in dict(*args[1:], **kwargs):
            Namespace._check(name)
        jinja2.utils.Namespace.__init__(*args, **kwargs)

    def __setitem__(self, name: str, value: Any) -> None:
        Namespace._check(name)
        super().__setitem__(name, value)

    @staticmethod
    def _check(name: str) -> None:
        if name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"namespace attribute {name!r}")


def raise_exception(message: object) -> NoReturn:
    """Let a template refuse a conversation."""
    raise jinja2.exceptions.TemplateError(str(message))


def tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None,
           separators: tuple[str, str] | None = None, sort_keys: bool = False) -> str:  # fmt: skip
    """JSON without HTML escapes, as chat templates expect it."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


class Dict:
    """``dict`` of chat templates, without the attributes of the real one."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        """As ``dict.fromkeys``."""
        return dict.fromkeys(*args)


def frozen_clock(date: str) -> Callable[[str], str]:
    """Make a ``strftime_now`` that always answers for the same day."""
    day = datetime.datetime.fromisoformat(date)
    return lambda layout: day.strftime(layout)


def environment(date: str) -> jinja2.sandbox.ImmutableSandboxedEnvironment:
    """Build the sandbox that chat templates are written for, with nothing beyond it."""
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters = {name: env.filters[name] for name in FILTERS if name in env.filters}
    env.filters["tojson"] = tojson
    env.globals = {
        "range": env.globals["range"],
        "dict": Dict(),
        "namespace": Namespace,
        "raise_exception": raise_exception,
        "strftime_now": frozen_clock(date),
    }
    return env


def limit_resources() -> None:
    """Bound memory, forbid core dumps and writing to files."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def allow_more_time() -> None:
    """Give the next request its own processor seconds.

    The timer counts them exactly; the resource limit, in whole seconds, stands behind it. Either
    ends the process.
    """
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def forbid_system(event: str, _args: object) -> None:
    """Refuse every door out of the process (an audit hook; it cannot be removed)."""
    if event.startswith(FORBIDDEN):
        raise RuntimeError(f"a chat template tried {event}")


def render(template: jinja2.Template, variables: dict[str, Any]) -> dict[str, str]:
    """Answer one request."""
    pieces, size = [], 0
    try:
        for piece in template.generate(**variables):
            size += len(piece.encode("utf-8", "surrogatepass"))
            if size > OUTPUT_LIMIT:
                return {"error": f"the output is longer than {OUTPUT_LIMIT} bytes"}
            pieces.append(piece)
    except MemoryError:
        return {"fatal": f"it needs more than {ADDRESS_SPACE >> 20} MiB of memory"}
    except Exception as exc:
        return {"error": f"{type(exc).__name__}: {exc}"[:500]}
    return {"text": "".join(pieces)}


def compile_template(source: str) -> tuple[jinja2.Template | None, dict[str, str]]:
    """Compile the template and name its variables, or say why not."""
    try:
        env = environment(sys.argv[1])
        used = jinja2.meta.find_undeclared_variables(env.parse(source)) - env.globals.keys()
        return env.from_string(source), {"text": " ".join(sorted(used))}
    except MemoryError:
        return None, {"fatal": f"it needs more than {ADDRESS_SPACE >> 20} MiB of memory"}
    except jinja2.TemplateSyntaxError as exc:
        return None, {"fatal": f"line {exc.lineno}: {exc.message}"[:500]}
    except Exception as exc:
        return None, {"fatal": f"{type(exc).__name__}: {exc}"[:500]}


def main() -> None:
    """Read requests until the parent closes the pipe."""
    limit_resources()
    environment(sys.argv[1]).from_string(WARM_UP).render()
    sys.addaudithook(forbid_system)
    print(json.dumps({"text": ""}), flush=True)
    source = json.loads(sys.stdin.readline())
    allow_more_time()
    template, answer = compile_template(source)
    print(json.dumps(answer), flush=True)
    if template is None:
        return
    for line in sys.stdin:
        allow_more_time()
        answer = render(template, json.loads(line))
        print(json.dumps(answer), flush=True)
        if "fatal" in answer:
            return


if __name__ == "__main__":
    main()
