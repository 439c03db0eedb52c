"""One fit and its bootstrap by PyPI's ``simple-scaling-laws``, for ``fit_speed.py``.

``python peer_simple_scaling_laws.py TABLE.csv DRAWS`` prints JSON: processor seconds of a fit with
one draw and with DRAWS draws (it warm-starts each draw), and the parameters. Its fit is of least
squares in linear space, so the parameters are those of another estimand.
"""

from __future__ import annotations

import json
import sys
import time

import polars as pl
from simple_scaling_laws import fit


def main(table: str, draws: int) -> None:
    runs = pl.read_csv(table).filter(~pl.col("excluded"))
    frame = runs.select(
        pl.int_range(pl.len()).cast(pl.String).alias("training_run_id"),
        pl.col("num_params").alias("model_size__n"),
        pl.col("num_tokens").alias("dataset_size__d"),
        pl.col("loss").alias("test_loss__nats"),
    )
    seconds = {}
    for count in (1, draws):
        begin = time.process_time()
        model = fit(frame, law="separable-power", n_draws=count, seed=0)
        seconds[count] = time.process_time() - begin
    params = {k: float(v) for k, v in model.params("test_loss__nats").items()}
    print(json.dumps({"seconds": seconds[1], "seconds_draws": seconds[draws], "params": params}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
