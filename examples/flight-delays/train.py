"""Trains a model of the arrival delay of flights from New York to one destination.

The question is asked a few hours before departure: what is known then is the schedule and the weather, not the departure
delay. The newest fifth of the flights is held out, and the error of the model on it is compared with that of the
naive answer, the median delay of the other four fifths.

Leaves with status 3 when there are too few flights to learn from.
"""

import argparse
import csv
import io
import json
import lzma
import os
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

START = time.perf_counter()
DATA = Path(__file__).resolve().parent / "data"
MINIMUM_ROWS = 8
EXIT_TOO_FEW_ROWS = 3
ORIGINS = ["EWR", "JFK", "LGA"]
WEATHER = ["temp", "dewp", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
# Not the date: in a year of data the months to be predicted are never the months seen. Not the distance: with one
# destination it says no more than the origin.
FEATURES = ["weekday", "minute", "carrier", "origin", *WEATHER]


def number(text):
    return float("nan") if text == "NA" else float(text)


def read_flights(dest):
    """The flights to `dest` that arrived, oldest first."""
    with lzma.open(DATA / "flights.csv.xz") as file:
        header = next(file)
        # Most of the year's lines are of other destinations; a search of bytes is cheaper than a parser.
        mark = f",{dest},".encode()
        lines = b"".join(line for line in file if mark in line)
    rows = csv.DictReader(io.StringIO((header + lines).decode()))
    flights = [row for row in rows if row["dest"] == dest and row["arr_delay"] != "NA"]
    for flight in flights:
        scheduled = flight["sched_dep_time"].zfill(4)
        flight["hour"], flight["minute"] = int(scheduled[:2]), int(scheduled[2:])
    return sorted(flights, key=lambda f: (int(f["month"]), int(f["day"]), f["hour"], f["minute"]))


def read_weather():
    """What was measured, by airport and hour (UTC)."""
    with lzma.open(DATA / "weather.csv.xz", "rt") as file:
        return {(row["origin"], row["time_hour"]): [number(row[key]) for key in WEATHER] for row in csv.DictReader(file)}


def feature_row(flight, carriers, weather):
    departure = datetime.fromisoformat(flight["time_hour"])
    # What was measured in the hour before stands for the forecast; later weather nobody knows before departure.
    hour_before = (departure - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        datetime(int(flight["year"]), int(flight["month"]), int(flight["day"])).weekday(),
        flight["hour"] * 60 + flight["minute"],
        carriers.index(flight["carrier"]),
        ORIGINS.index(flight["origin"]),
        *weather.get((flight["origin"], hour_before), [float("nan")] * len(WEATHER)),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dest", required=True, help="airport code of the destination, BOS for instance")
    dest = parser.parse_args().dest

    flights = read_flights(dest)
    if len(flights) < MINIMUM_ROWS:
        print(f"{dest}: {len(flights)} flights are too few to learn from", file=sys.stderr)
        sys.exit(EXIT_TOO_FEW_ROWS)

    # Imported only now: those that leave early need not wait a second for them.
    import joblib
    import numpy
    from sklearn.ensemble import HistGradientBoostingRegressor

    weather = read_weather()
    carriers = sorted({flight["carrier"] for flight in flights})
    x = numpy.array([feature_row(flight, carriers, weather) for flight in flights])
    y = numpy.array([number(flight["arr_delay"]) for flight in flights])
    split = len(y) * 4 // 5

    model = HistGradientBoostingRegressor(
        loss="absolute_error",
        max_iter=60,
        learning_rate=0.05,
        max_leaf_nodes=8,
        min_samples_leaf=50,
        categorical_features=[FEATURES.index("carrier"), FEATURES.index("origin")],
        random_state=2013,
    )
    model.fit(x[:split], y[:split])
    mae = abs(model.predict(x[split:]) - y[split:]).mean()
    naive_mae = abs(numpy.median(y[:split]) - y[split:]).mean()

    # Kingtide names a folder for the model and a file for the result; started by hand, the model lands here.
    output = Path(os.environ.get("KINGTIDE_OUTPUT", "."))
    saved = {"model": model, "features": FEATURES, "carriers": carriers, "origins": ORIGINS}
    joblib.dump(saved, output / f"{dest}.joblib", compress=3)
    result = {
        "rows": len(y),
        "mae": round(float(mae), 2),
        "naive_mae": round(float(naive_mae), 2),
        "seconds": round(time.perf_counter() - START, 2),
    }
    if path := os.environ.get("KINGTIDE_RESULT"):
        Path(path).write_text(json.dumps(result) + "\n")
    print(f"{dest}: off by {mae:.1f} minutes, {naive_mae:.1f} without a model, on {len(y) - split} flights")


if __name__ == "__main__":
    main()
