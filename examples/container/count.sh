# Counts lines and words of /texts/$1. It knows nothing of queues: one message, one run.
text="/texts/$1"
[ -f "$text" ] || { echo "there is no $text"; exit 3; }
lines=$(wc -l < "$text")
words=$(wc -w < "$text")
echo "$1: $lines lines, $words words"
echo "{\"lines\": $((lines)), \"words\": $((words))}" > "$KINGTIDE_RESULT"
tr -cs 'A-Za-z' '\n' < "$text" | tr 'A-Z' 'a-z' | sort | uniq -c | sort -rn > "$KINGTIDE_OUTPUT/words.txt"
