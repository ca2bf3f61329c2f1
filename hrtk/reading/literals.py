"""The text of a config that consists of literals, read without executing it."""

from __future__ import annotations

import ast
import math
from typing import Any, Optional

NAMED = {'inf': math.inf, 'nan': math.nan}


def parse_literals(text: str) -> dict[str, Any]:
    """Reads the assignments of a config's text, as mmengine prints it: literals and calls of ``dict``.

    Args:
        text: e.g. ``"adapter = dict(type='Source')"``.

    Returns:
        The values by name; those of names that start with two underscores are left out.

    Raises:
        ValueError: a line is no assignment of a literal; the message gives its number.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f'not the text of a config ({error})') from error
    values = {}
    for statement in tree.body:
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            raise ValueError(f'line {statement.lineno} is not an assignment')
        target = statement.targets[0]
        if not isinstance(target, ast.Name):
            raise ValueError(f'line {statement.lineno} assigns to something that is not a name')
        try:
            values[target.id] = _value(statement.value)
        except (TypeError, RecursionError) as error:  # a list as a key, or deep nesting
            raise ValueError(f'line {statement.lineno} is no literal ({error})') from error
    return values


def _value(node: ast.expr) -> Any:
    """The value of a literal."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in NAMED:
        return NAMED[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _value(node.operand)
        if isinstance(number, (int, float)):
            return -number
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        members = [_value(member) for member in node.elts]
        return {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)](members)
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys = [_value(key) for key in node.keys if key is not None]
        return dict(zip(keys, [_value(value) for value in node.values]))
    keywords = _keywords(node)
    if keywords is not None:
        return {str(keyword.arg): _value(keyword.value) for keyword in keywords}
    raise ValueError(
        f'line {node.lineno} holds code ({type(node).__name__}), which is not executed'
    )


def _keywords(node: ast.expr) -> Optional[list[ast.keyword]]:
    """The arguments of ``dict(name=value, ...)``; None for other nodes."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
        return None
    if node.func.id != 'dict' or any(keyword.arg is None for keyword in node.keywords):
        return None
    return node.keywords
