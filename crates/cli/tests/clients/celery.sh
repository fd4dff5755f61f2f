set -eu
export SUMS=$PWD/sums; : > sums
python3 -m celery -A tasks worker --pool solo --loglevel INFO --without-gossip --without-mingle > worker.log 2>&1 &
worker=$!
trap 'kill $worker 2>/dev/null || true' EXIT
python3 -c 'import tasks; [tasks.add.delay(n, n) for n in range(10)]'
for _ in $(seq 100); do [ "$(wc -l < sums)" = 10 ] && break; sleep 0.1; done
[ "$(sort -n sums | tr '\n' ' ')" = "0 2 4 6 8 10 12 14 16 18 " ]
echo fine
