"""Circles of includes: between headers anywhere, and between the units of one folder."""

import collections

import units


def check_circles_of_headers(tree):
    edges = collections.defaultdict(dict)
    for source in tree.cpp_sources:
        for other, line in tree.included_sources(source):
            if source.is_header and other is not source:
                edges[str(source.path)].setdefault(str(other.path), f"{source.path}:{line}")
    for circle in circles(edges):
        yield _violation(circle, edges, "headers that include each other in a circle")


def check_circles_of_units(tree):
    unit_of = units.units(tree)
    edges = collections.defaultdict(dict)
    for source in tree.cpp_sources:
        for other, line in tree.included_sources(source):
            unit, used = unit_of[source], unit_of[other]
            if unit != used and source.folder == other.folder:
                edges[unit].setdefault(used, f"{source.path}:{line}")
    for circle in circles(edges):
        yield _violation(circle, edges, "units that need each other in a circle")


def _violation(circle, edges, what):
    steps = [
        f"{edges[one][other]} includes {other.rpartition('/')[2]}"
        for one in circle
        for other in sorted(edges[one])
        if other in circle
    ]
    place = edges[circle[0]][next(other for other in sorted(edges[circle[0]]) if other in circle)]
    names = ", ".join(circle)
    return f"{place}: {what}: {names} ({'; '.join(steps)}): move what both need below them"


def circles(edges):
    """The sets of nodes, each a sorted list, that can be reached from one another."""
    found = []
    order = _finished_order(edges)
    backwards = collections.defaultdict(list)
    for one in sorted(edges):
        for other in edges[one]:
            backwards[other].append(one)
    seen = set()
    for node in reversed(order):
        component = _reached(node, backwards, seen)
        if len(component) > 1:
            found.append(sorted(component))
    return sorted(found)


def _finished_order(edges):
    """The nodes in the order in which a walk is through with them."""
    order, seen = [], set()
    for start in sorted(edges):
        stack = [(start, iter(sorted(edges.get(start, ()))))] if start not in seen else []
        seen.add(start)
        while stack:
            node, others = stack[-1]
            following = next((other for other in others if other not in seen), None)
            if following is None:
                order.append(node)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(sorted(edges.get(following, ())))))
    return order


def _reached(start, edges, seen):
    """All that can be reached from `start` but what was seen, which this adds to."""
    component, waiting = [], [start]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            component.append(node)
            waiting += edges[node]
    return component
