"""See plugin."""

import time

from osiris.core.dataset import Dataset


class Pass:
    def run(self, step_id, config, inputs, ctx):
        data = inputs["df"]

        def batches():
            for batch in data.batches():
                for start in range(0, batch.num_rows, config["rows"]):
                    time.sleep(config["pause"])
                    yield batch.slice(start, config["rows"])

        return {"df": Dataset.from_batches(data.schema, batches())}
