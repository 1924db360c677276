"""Files of records, and the items that a task reads in them."""

import json

SPLITS = ("train", "valid", "test")


def texts(task, split=None):
    """Prompt and text of every item, in words."""
    found = []
    for name in SPLITS if split is None else [split]:
        n = task.available(name)
        if n:
            t = task.demonstrations(n, name, 0)
            rows = zip(task.prompts(n, name, 0), t.replay().texts(), strict=True)
            found += [(task.decode(p), task.decode(x), x[-1] == task.vocabulary.eos) for p, x in rows]
    return found


def write(folder, name, *records):
    path = folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path
