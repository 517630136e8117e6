"""See plugin."""

import time

import pyarrow as pa

from osiris.core.dataset import Dataset

SCHEMA = pa.schema([("a", pa.int64())])
OTHER = pa.record_batch({"b": pa.array(["x"], pa.string())})


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Unpicklable(Exception):
    def __reduce__(self):
        raise TypeError("not to be pickled")


class Odd(BaseException):
    pass


def endless():
    error = ValueError("my own cause")
    error.__cause__ = error
    return error


def batches_of(*items):
    yield from items


async def later():
    return {}


GIVEN = {
    "a text": lambda: "df",
    "a number": lambda: 7,
    "a list": lambda: [1, 2],
    "a class": lambda: dict,
    "a coroutine": later,
    "a frame that is none": lambda: {"df": object()},
    "a number as df": lambda: {"df": 7},
    "nothing as df": lambda: {"df": None},
    "another name": lambda: {"data": pa.table({"a": [1]})},
    "batches of another schema": lambda: {"df": Dataset.from_batches(SCHEMA, batches_of(OTHER))},
    "no batches": lambda: {"df": Dataset.from_batches(SCHEMA, batches_of("text", 7))},
    "a list of all kinds": lambda: {"df": [{"a": 1}, 7, None]},
}
RAISED = {
    "mute": Mute,
    "unpicklable": Unpicklable,
    "odd": Odd,
    "the end of a generator": GeneratorExit,
    "the end of an iterator": StopIteration,
    "out of memory": MemoryError,
    "ctrl-c of its own": KeyboardInterrupt,
    "many at once": lambda: ExceptionGroup("several", [ValueError("one"), TypeError("two")]),
    "its own cause": endless,
    "ten million letters": lambda: ValueError("x" * 10_000_000),
    "half a character": lambda: ValueError("half \udcff"),
    "bytes": lambda: OSError(5, b"\xff\xfe", b"/\xff"),
    "deep": lambda: deep(200),
}


def deep(levels):
    try:
        if levels:
            raise deep(levels - 1)
        return ValueError("at the bottom")
    except ValueError as error:
        above = ValueError(f"level {levels}")
        above.__cause__ = error
        return above


class Source:
    def run(self, step_id, config, inputs, ctx):
        what = config["what"]
        if what == "endless rows":
            row = pa.record_batch({"a": pa.array([1], pa.int64())})
            return {"df": Dataset.from_batches(SCHEMA, iter(lambda: row, None))}
        if what in GIVEN:
            return GIVEN[what]()
        if not config.get("late"):
            raise RAISED[what]()

        def batches():
            yield pa.record_batch({"a": pa.array([1], pa.int64())})
            raise RAISED[what]()

        return {"df": Dataset.from_batches(SCHEMA, batches())}


class Sink:
    def run(self, step_id, config, inputs, ctx):
        do = config.get("do")
        if do == "hoard":
            held = []
            for _ in range(2000):
                held.append(bytearray(b"x") * 4_000_000)
                time.sleep(0.005)
        if do == "allocate":
            return {"df": len(b"x" * config["bytes"])}
        for _ in inputs["df"].batches():
            pass
        return {}
