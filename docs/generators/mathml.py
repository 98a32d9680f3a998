"""Formulas as MathML in the page itself: browsers draw them without a script or a network."""

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx


def visit_math(translator: Any, node: nodes.math) -> None:
    """Write an inline formula."""
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def visit_math_block(translator: Any, node: nodes.math_block) -> None:
    """Write a formula of its own, with its number where it has one."""
    translator.body.append('<div class="math">')
    text = node.astext()
    number = ""
    if r"\tag{" in text:
        text, _, rest = text.partition(r"\tag{")
        number = f'<span class="eqno">({rest.partition("}")[0]})</span>'
    translator.body.append(number + convert(text.strip(), display="block"))
    translator.body.append("</div>")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the two as what writes formulas in HTML."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
