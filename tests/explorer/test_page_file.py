"""The page: one text, complete in itself, that names in the data cannot break."""

import base64
import hashlib
import re

import pytest

from hueprobe.explorer.page_file import FOLDER, content_policy, embedded_json, joined_modules, page

HOSTILE = "</script><script>alert(1)</script><!-- <script> -->&amp;\"'\\u003c\u202e\u2028\u2029\x00\ud7ff"


def document(mode="file", title="some.memory"):
    return {"format": "hueprobe-explorer", "version": 1, "mode": mode, "title": title, "memories": []}


def digest(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.mark.parametrize("mode", ["file", "server"])
def test_the_policy_allows_the_pages_own_script_and_style_and_no_other(elements_of, mode):
    found = elements_of(page(document(mode)))
    scripts = [
        text for tag, attributes, text in found if tag == "script" and attributes.get("type") == "module"
    ]
    styles = [text for tag, _, text in found if tag == "style"]
    assert len(scripts) == len(styles) == 1
    (policy,) = [
        attributes["content"]
        for tag, attributes, _ in found
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == content_policy(mode)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["script-src"] == digest(scripts[0])
    assert rules["style-src"] == digest(styles[0])
    assert rules["connect-src"] == ("'self'" if mode == "server" else "'none'")
    assert rules["img-src"] == ("'self' data: blob:" if mode == "server" else "data: blob:")


def test_the_policy_comes_before_what_it_rules():
    text = page(document())
    assert text.index("charset") < text.index("Content-Security-Policy") < text.index("<style>")
    assert text.index("<style>") < text.index("<script")
    assert len(text[: text.index("charset")].encode()) < 1024  # where browsers look for it


def test_nothing_is_fetched(elements_of):
    for tag, attributes, _ in elements_of(page(document())):
        for name in ("src", "href", "srcset", "action", "data"):
            assert attributes.get(name, "data:").startswith(("data:", "#")), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    style = (FOLDER / "style.css").read_text("utf-8")
    assert "@import" not in style and not re.search(r"url\((?!['\"]?data:)", style)


def test_hostile_names_stay_text(elements_of, explorer_document):
    text = page(document(title=HOSTILE))
    assert explorer_document(text)["title"] == HOSTILE
    harmless = page(document(title="x"))
    assert [element[:2] for element in elements_of(text)] == [
        element[:2] for element in elements_of(harmless)
    ]
    for character in "<>&\u2028\u2029":
        assert character not in embedded_json({"name": HOSTILE})


def test_modules_become_one_script_in_the_order_of_their_imports():
    modules = {
        "a.js": 'import { two } from "./c.js";\nimport { one } from "./b.js";\n\nconst sum = one + two;\n',
        "b.js": 'import { two } from "./c.js";\nexport const one = two - 1;\n',
        "c.js": "export function two() {}\nexport async function three() {}\nexport class Four {}\nlet f;\n",
    }
    joined = joined_modules(modules)
    assert not re.search(r"^(import|export)\b", joined, re.MULTILINE)
    assert joined.index("function two") < joined.index("const one") < joined.index("const sum")
    assert "async function three() {}\nclass Four {}\nlet f;" in joined


@pytest.mark.parametrize(
    "modules, message",
    [
        ({"a.js": 'import { b } from "./b.js";\n'}, "a.js imports b.js"),
        ({"a.js": 'import { b as c } from "./a.js";\nexport default 3;\n'}, "export default 3"),
        ({"a.js": 'import * as b from "./a.js";\n'}, "import \\* as b"),
        ({"a.js": 'import {\n  b\n} from "./a.js";\n'}, "line 'import {'"),
        ({"a.js": "export { b };\n"}, "export { b }"),
        ({"a.js": "const x = 1;\n", "b.js": "export function x() {}\n"}, "define x"),
        ({"a.js": 'const x = "</SCRIPT>";\n'}, "would end the script"),
        (
            {"a.js": 'import { b } from "./b.js";\n', "b.js": 'import { a } from "./a.js";\n'},
            "import each other",
        ),
    ],
)
def test_modules_that_would_not_work_as_one_script_are_refused(modules, message):
    with pytest.raises(ValueError, match=message):
        joined_modules(modules)


def test_the_modules_of_the_page_are_all_in_it():
    text = page(document())
    names = [path.name for path in FOLDER.glob("*.js")]
    assert names
    for name in names:
        assert text.count(f"\n// {name}\n") == 1
    assert "<!-- " not in text
