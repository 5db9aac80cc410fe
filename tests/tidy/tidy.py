"""All rules over one tree."""

import order_blocks
import rules
import source_tree

RULES = [
    rules.check_layers,
    rules.check_file_lengths,
    rules.check_function_lengths,
    rules.check_layouts,
    rules.check_names,
    rules.check_words,
    order_blocks.check_order_blocks,
]


def violations(root):
    tree = source_tree.SourceTree(root)
    return [violation for rule in RULES for violation in rule(tree)]
