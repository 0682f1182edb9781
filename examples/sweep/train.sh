# sh train.sh DATA RATE MODEL METRICS: stands for a training that takes its rate as an argument.
set -e
sum=$(cat "$1"/*.csv | awk '{ sum += $1 } END { print sum }')
echo "$sum $2" > "$3"
awk -v rate="$2" 'BEGIN { printf "{\"loss\": %.6f}\n", (rate - 0.3) ^ 2 }' > "$4"
