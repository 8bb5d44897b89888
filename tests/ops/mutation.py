"""Errors planted in Python functions: the source changed in one place, compiled, and run in the original's stead.

Written mutants name the piece to exchange. Generated ones come from the syntax tree of a function: a sign, an operator,
a comparison, an index, an axis, a flag or the order of arguments changed; a term, a factor or a call left out.
"""

import ast
import functools
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any

SWAPPED_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
}
SWAPPED_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


@dataclass(frozen=True)
class Mutant:
    """In `function` of `module`, `right` becomes `wrong`.

    Attributes:
        module: its dotted name.
        function: its qualified name in there.
        right: a piece of the source, found once; of a generated mutant, the expression as `ast.unparse` writes it.
        wrong: what takes its place.
        number: which of equal generated mutants, from 1; 0 for a written one.
        tree: the whole wrong function, of a generated mutant.
    """

    module: str
    function: str
    right: str
    wrong: str
    number: int = 0
    tree: ast.Module | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        again = f" (number {self.number})" if self.number > 1 else ""
        return f"{self.module.rpartition('.')[2]}: {self.function}: {self.right} -> {self.wrong}{again}"

    def target(self) -> FunctionType:
        return function_of(self.module, self.function)

    def code(self) -> CodeType:
        """The wrong code."""
        return _compiled(self.tree or ast.parse(self.wrong_source()), self.target())

    def source(self) -> str:
        """The right function's text."""
        return source_of(self.module, self.function)

    def wrong_source(self) -> str:
        """A written mutant's text. An AssertionError if the source does not hold what is to be exchanged just once."""
        found = self.source().count(self.right)
        assert found == 1, f"{self}: out of date, the source has {found} such places"
        return self.source().replace(self.right, self.wrong)

    @contextmanager
    def planted(self) -> Iterator[None]:
        """A block in which everybody who calls the function runs the wrong code."""
        function, code = self.target(), self.code()
        right = function.__code__
        function.__code__ = code
        try:
            yield
        finally:
            function.__code__ = right


def function_of(module: str, qualified_name: str) -> FunctionType:
    """The plain function behind a method, class method or property."""
    found: Any = importlib.import_module(module)
    for part in qualified_name.split("."):
        found = inspect.getattr_static(found, part)
    found = getattr(found, "fget", None) or getattr(found, "__func__", found)
    found = inspect.unwrap(found)
    assert isinstance(found, FunctionType)
    return found


@functools.cache
def source_of(module: str, qualified_name: str) -> str:
    """The text of a function, found by its name and not by its line: decorators are left out."""
    text = inspect.getsource(importlib.import_module(module))
    found: Any = ast.parse(text)
    for name in qualified_name.split("."):
        found = next(part for part in found.body if getattr(part, "name", None) == name)
    return textwrap.dedent("\n".join(text.splitlines()[found.lineno - 1 : found.end_lineno])) + "\n"


def generated(module: str, function: str) -> Iterator[Mutant]:
    """All mutants of one function that the rules below make."""
    source = source_of(module, function)
    seen: dict[tuple[str, str], int] = {}
    for place, node in enumerate(_body_nodes(ast.parse(source))):
        right = ast.unparse(node)
        for variant in _variants(node):
            wrong = "pass" if variant is None else ast.unparse(variant)
            if wrong == right:
                continue
            seen[right, wrong] = number = seen.get((right, wrong), 0) + 1
            tree = ast.parse(source)
            _exchange(tree, _body_nodes(tree)[place], ast.Pass() if variant is None else variant)
            yield Mutant(module, function, right, wrong, number, tree)


def _body_nodes(tree: ast.Module) -> list[ast.AST]:
    """The expressions and statements of the one function, without docstring, annotations and what raises."""
    (definition,) = tree.body
    assert isinstance(definition, ast.FunctionDef)
    nodes: list[ast.AST] = []

    def visit(node: ast.AST) -> None:
        is_guard = isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise)
        if is_guard or isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr)):
            return
        if isinstance(node, ast.keyword) and node.arg == "strict":  # lengths that are always equal
            return
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith(("isinstance", "options.")):
            return
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("options."):  # validates
            return
        nodes.append(node)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "ctx"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    visit(child)

    for statement in definition.body:
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not is_text:
            visit(statement)
    return nodes


def _variants(node: ast.AST) -> Iterator[ast.AST | None]:
    """What may stand in a node's place; None leaves a statement out."""
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            if type(op) in SWAPPED_OPERATORS:
                yield ast.BinOp(left, SWAPPED_OPERATORS[type(op)](), right)
            if isinstance(op, (ast.Sub, ast.Div, ast.MatMult)):
                yield ast.BinOp(right, op, left)
            yield left
            if isinstance(op, (ast.Add, ast.Mult)):
                yield right
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            yield operand
        case ast.Compare(left=left, ops=[op], comparators=others) if type(op) in SWAPPED_COMPARISONS:
            yield ast.Compare(left, [SWAPPED_COMPARISONS[type(op)]()], others)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float(value)):
            yield ast.Constant(2.0 * value if value else 1.0)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            is_unasked = isinstance(orelse, ast.Constant) and orelse.value is None
            yield orelse if is_unasked else ast.IfExp(test, orelse, body)
        case ast.If(test=test, body=body, orelse=orelse):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.AugAssign(target=target, op=op, value=value):
            yield ast.Assign([target], value, lineno=node.lineno)
            if type(op) in SWAPPED_OPERATORS:
                yield ast.AugAssign(target, SWAPPED_OPERATORS[type(op)](), value)
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            if any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(value)):
                yield None
        case ast.Attribute(attr="mT" | "T", value=value):
            yield value
        case ast.Tuple(elts=[first, second, *rest], ctx=ast.Load()):
            yield ast.Tuple([second, first, *rest], ast.Load())
        case ast.Call(func=function, args=arguments, keywords=keywords):
            match arguments:
                case [first, second, *rest] if not {type(first), type(second)} & {ast.Starred}:
                    yield ast.Call(function, [second, first, *rest], keywords)
            match function, arguments:
                case ast.Name(id="tuple" | "range" | "slice" | "zip" | "len" | "hasattr"), _:
                    pass
                case ast.Name(id="widened" | "narrowed"), _:  # these change nothing but half precision
                    pass
                case ast.Attribute(value=ast.Name(id=owner)), [first, *_] if owner[0].isupper() or owner in _MODULES:
                    yield first
                case ast.Attribute(value=value), _ if not (isinstance(value, ast.Name) and value.id in _MODULES):
                    yield value
                case ast.Name(), [first, *_] if not isinstance(first, (ast.Starred, ast.GeneratorExp)):
                    yield first


_MODULES = frozenset({"backend", "kernels", "math", "np", "xp", "dict", "operator"})


def _exchange(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
            elif isinstance(value, list):
                value[:] = [new if child is old else child for child in value]
    ast.fix_missing_locations(tree)


def _compiled(tree: ast.Module, like: FunctionType) -> CodeType:
    """The code of the only function in the tree."""
    (definition,) = tree.body
    assert isinstance(definition, ast.FunctionDef)
    names: dict[str, Any] = {}
    exec(compile(tree, f"<mutant of {like.__qualname__}>", "exec"), like.__globals__, names)
    code: CodeType = names[definition.name].__code__
    return code
