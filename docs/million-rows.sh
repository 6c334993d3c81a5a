#!/usr/bin/env bash
# Measures `guard check` on a Parquet file of a million rows with 512 features: time and peak
# resident memory. Leaves nothing behind. Needs 5 GB of disk and GNU time.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/outrigger" methods >/dev/null

cat >"$work/Make.java" <<'JAVA'
import java.sql.DriverManager;

/** Writes rows of 512 standard normal features f0 to f511, whose class shifts the first ten. */
class Make {
  public static void main(String[] args) throws Exception {
    StringBuilder columns = new StringBuilder("i % 10 AS label");
    for (int c = 0; c < 512; c++) {
      // Twelve uniform numbers less six are close to a normal one; three are close enough here.
      columns.append(", (2 * (random() + random() + random()) - 3");
      columns.append(c < 10 ? " + CASE WHEN i % 10 = " + c + " THEN 3 ELSE 0 END" : "");
      columns.append(")::FLOAT AS f").append(c);
    }
    try (var db = DriverManager.getConnection("jdbc:duckdb:"); var run = db.createStatement()) {
      run.execute("SET memory_limit = '2GB'");
      run.execute("SET preserve_insertion_order = false");
      run.execute("SELECT setseed(0.5)");
      run.execute(
          "COPY (SELECT " + columns + " FROM range(" + args[1] + ") t(i)) TO '" + args[0]
              + "' (FORMAT parquet, ROW_GROUP_SIZE 20000)");
    }
  }
}
JAVA
java -cp "$here/cli/target/lib/*" "$work/Make.java" "$work/small.parquet" 20000
java -cp "$here/cli/target/lib/*" "$work/Make.java" "$work/rows.parquet" 1000000
"$here/outrigger" train --data "$work/small.parquet" --label label --epochs 2 \
  --out "$work/mlp.safetensors" --guard "$work/mlp.guard" --detector energy >/dev/null
/usr/bin/time -f '%e s, peak of %M kB resident' "$here/outrigger" guard check \
  --guard "$work/mlp.guard" --data "$work/rows.parquet" --label label --batch-size 1024 \
  --out "$work/verdicts.parquet"
