"""What must be known of, and changed in, a preprocessed CUDA C source before the host's compiler takes it.

Two things that CUDA has and C++ has not need more than a macro, both because memory is shared by a block:

    extern __shared__ float tile[];   →   float* const tile = (float*)::emulation::dynamic_shared;
    __shared__ float tile[32][33];    →   static float tile[32][33], in a section of the file that bears the name
                                          of the function, so that it can be measured, and poisoned before each block
"""

import re
from dataclasses import dataclass, field

_DYNAMIC = re.compile(r"extern\s+__shared__\s+(?:__align__\s*\(\s*\d+\s*\)\s*)?([\w\s:]+?)\s*\b(\w+)\s*\[\s*\]\s*;")
_KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\s*\(([^()]*)\)\s*)?(\w+)\s*\(([^()]*)\)")
_FUNCTION = re.compile(r"(\w+)\s*\([^{};()]*\)[^{};()]*$")
_QUOTED = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|^#.*$', re.MULTILINE)


@dataclass
class Kernel:
    """A `__global__` function: the names of its parameters, and the most threads its launch bounds allow."""

    name: str
    parameters: list[str]
    most_threads: int = 1024


@dataclass
class Source:
    """The rewritten text, its kernels by name, and the sections in which there is static shared memory."""

    text: str
    kernels: dict[str, Kernel]
    sections: list[str] = field(default_factory=list)

    def sections_of(self, kernel: str) -> list[str]:
        """The kernel's own section, and those of functions that are no kernels: it may call them."""
        return [name for name in self.sections if name == kernel or name not in self.kernels]


def rewrite(preprocessed: str) -> Source:
    """A source as the host's compiler takes it behind kernel.h."""
    text = _DYNAMIC.sub(r"\1* const \2 = reinterpret_cast<\1*>(::emulation::dynamic_shared);", preprocessed)
    kernels = {}
    for bounds, name, parameters in _KERNEL.findall(text):
        names = [re.findall(r"\w+", parameter)[-1] for parameter in parameters.split(",") if parameter.strip()]
        first_bound = bounds.partition(",")[0].strip()
        kernels[name] = Kernel(name, names, int(first_bound) if first_bound.isdecimal() else 1024)
    sections: list[str] = []
    parts, end = [], 0
    for position, function in _shared_declarations(text):
        if function not in sections:
            sections.append(function)
        parts += [text[end:position], f'static __attribute__((section("shared_{function}")))']
        end = position + len("__shared__")
    return Source("".join([*parts, text[end:]]), kernels, sections)


def _shared_declarations(text: str) -> list[tuple[int, str]]:
    """Where `__shared__` stands, and in which function."""
    plain = _QUOTED.sub(lambda match: " " * len(match[0]), text)  # positions stay; braces in strings do not count
    found = []
    depth, start, function = 0, 0, ""
    for token in re.finditer(r"[{};]|\b__shared__\b", plain):
        if token[0] == "__shared__":
            found.append((token.start(), function))
        elif token[0] == "{":
            if depth == 0:
                before = plain[start : token.start()].rstrip()
                header = _FUNCTION.search(before)
                if header is None and re.search(r"\bextern$", before):  # extern "C" {
                    start = token.end()
                    continue
                function = header[1] if header else ""
            depth += 1
        elif token[0] == "}":
            depth = max(0, depth - 1)
            start = token.end()
        else:
            start = token.end()
    return found
