"""All rules over one tree."""

import circles
import dead_files
import descriptor_rules
import glossary
import labels
import media
import order_blocks
import room_rules
import size_rules
import source_tree
import thread_rules
import words

RULES = [
    room_rules.check_rooms,
    room_rules.check_includes_that_cost,
    media.check_media,
    room_rules.check_rooms_are_placed,
    circles.check_circles_of_headers,
    circles.check_circles_of_units,
    size_rules.check_file_lengths,
    size_rules.check_function_lengths,
    size_rules.check_columns,
    size_rules.check_folders,
    size_rules.check_fronts,
    size_rules.check_readmes,
    dead_files.check_dead_sources,
    dead_files.check_dead_documents,
    glossary.check_glossary,
    labels.check_labels,
    descriptor_rules.check_descriptors,
    thread_rules.check_thread_locals,
    words.check_layouts,
    words.check_names,
    words.check_words,
    order_blocks.check_order_blocks,
]


def violations(root, rules=RULES):
    tree = source_tree.SourceTree(root)
    return [violation for rule in rules for violation in rule(tree)]
