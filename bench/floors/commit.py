"""Prints the median milliseconds of one durable commit of one row: SQLite, WAL, synchronous=FULL, in FOLDER.

usage: commit.py COUNT FOLDER
"""

import os
import sqlite3
import statistics
import sys
import time

count, folder = int(sys.argv[1]), sys.argv[2]
database = sqlite3.connect(os.path.join(folder, "commit.db"), isolation_level=None)
database.execute("pragma journal_mode = wal")
database.execute("pragma synchronous = full")
database.execute("create table row (id integer primary key, body text)")

times = []
for number in range(count):
    start = time.perf_counter()
    database.execute("insert into row (body) values (?)", (f"row {number}",))
    times.append(time.perf_counter() - start)
print(f"milliseconds {statistics.median(times) * 1000:.4f}")
