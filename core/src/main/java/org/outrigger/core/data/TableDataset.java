package org.outrigger.core.data;

import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;

/**
 * Rows [N, D] of a table in a CSV, TSV, Parquet or JSON Lines file, streamed in file order through
 * DuckDB with bounded memory, however long the file is.
 *
 * <p>Features are the columns named in {@link DataOptions#features}, else all numeric columns, else
 * one column {@code features} that holds a list of numbers. In CSV and JSON a column counts as
 * numeric when nine of ten of its first 10,000 values are numbers, so that one bad cell costs its
 * row, not the column. A row with a cell that is empty, not a number, NaN or infinite is left out
 * and reported.
 *
 * <p>Labels that are whole numbers are class indices as they stand; other labels are names, whose
 * sorted list is {@link #classNames}, unless {@link DataOptions#classNames} gives the order.
 */
public final class TableDataset implements Dataset {
  private static final int MAX_CLASSES = 10_000;
  private static final Set<String> NUMERIC =
      Set.of(
          "TINYINT",
          "SMALLINT",
          "INTEGER",
          "BIGINT",
          "HUGEINT",
          "UTINYINT",
          "USMALLINT",
          "UINTEGER",
          "UBIGINT",
          "UHUGEINT",
          "FLOAT",
          "DOUBLE");

  private final Path file;
  private final Scan scan;
  private final DataOptions options;
  private final List<String> features;
  private final int listLength;
  private final List<String> classNames;
  private final Map<String, Integer> labels;
  private final long size;

  /** What a file is and how DuckDB reads it. */
  private record Scan(String kind, String from, boolean typed) {}

  private TableDataset(Path file, DataOptions options, Connection db) throws SQLException {
    this.file = file;
    this.options = options;
    scan = scan(file, options, db);
    Map<String, String> columns = columns(db);
    for (String named : named(options)) {
      require(columns, named);
    }
    features = features(db, columns);
    listLength = isList(columns.get(features.get(0))) ? listLength(db, columns) : 0;
    labels = new HashMap<>();
    classNames = options.label() == null ? List.of() : classes(db, options.label());
    for (int i = 0; i < classNames.size(); i++) {
      labels.put(classNames.get(i), i);
    }
    long rows =
        scan.kind.equals("Parquet")
            ? Long.parseLong(Table.texts(db, "SELECT count(*) FROM " + scan.from).get(0))
            : -1;
    size = rows >= 0 && options.limit() > 0 ? Math.min(rows, options.limit()) : rows;
  }

  /** Opens a table with all its numeric columns, unlabelled. */
  public static TableDataset open(Path file) {
    return open(file, DataOptions.defaults());
  }

  /**
   * Opens a table; its rows are read by the walks.
   *
   * @throws OutriggerException if the file is missing or of another form, a column is missing (with
   *     the nearest names), or there is no numeric column
   */
  public static TableDataset open(Path file, DataOptions options) {
    if (!Files.isRegularFile(file)) {
      throw new OutriggerException("There is no file " + file + ".");
    }
    try (Connection db = Table.connect(options)) {
      return new TableDataset(file, options, db);
    } catch (SQLException e) {
      throw Table.failure(file, e);
    }
  }

  /** Whether the file's name says that it is a table. */
  public static boolean recognises(Path file) {
    return kind(file) != null;
  }

  private static @Nullable String kind(Path file) {
    String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
    name = name.endsWith(".gz") ? name.substring(0, name.length() - 3) : name;
    if (name.endsWith(".csv")) {
      return "CSV";
    }
    if (name.endsWith(".tsv")) {
      return "TSV";
    }
    if (name.endsWith(".parquet")) {
      return "Parquet";
    }
    return name.endsWith(".jsonl") || name.endsWith(".ndjson") ? "JSON Lines" : null;
  }

  private static Scan scan(Path file, DataOptions options, Connection db) throws SQLException {
    String name = Table.fileName(file);
    String kind = kind(file);
    if (kind == null) {
      throw new OutriggerException(
          file + " is no table: .csv, .tsv, .parquet, .jsonl and .ndjson files are.");
    }
    if (kind.equals("Parquet")) {
      return new Scan(kind, "read_parquet(" + name + ", hive_partitioning=false)", true);
    }
    if (kind.equals("JSON Lines")) {
      return new Scan(
          kind,
          "read_json("
              + name
              + ", format='newline_delimited', ignore_errors=true, hive_partitioning=false)",
          false);
    }
    // All cells are read as text and converted by us: one bad cell must not stop the file.
    String text =
        "read_csv("
            + name
            + ", all_varchar=true, store_rejects=true, hive_partitioning=false"
            + (kind.equals("TSV") ? ", delim='\\t'" : "")
            + ", header=";
    boolean header =
        options.header() != null ? options.header() : !numbersOnly(db, text + "false) LIMIT 1");
    return new Scan(kind, text + header + ")", false);
  }

  private static boolean numbersOnly(Connection db, String from) throws SQLException {
    List<String> cells = Table.row(db, "SELECT * FROM " + from);
    return !cells.isEmpty() && cells.stream().allMatch(TableDataset::isNumber);
  }

  private static boolean isNumber(@Nullable String text) {
    try {
      Double.parseDouble(String.valueOf(text));
      return true;
    } catch (NumberFormatException e) {
      return false;
    }
  }

  private Map<String, String> columns(Connection db) throws SQLException {
    Map<String, String> columns = new LinkedHashMap<>();
    try (Statement statement = db.createStatement();
        ResultSet rows = statement.executeQuery("DESCRIBE SELECT * FROM " + scan.from)) {
      while (rows.next()) {
        columns.put(rows.getString("column_name"), rows.getString("column_type"));
      }
    }
    return columns;
  }

  private static List<String> named(DataOptions options) {
    List<String> named = new ArrayList<>(options.features());
    for (String column : roles(options)) {
      if (options.features().contains(column)) {
        throw new OutriggerException(
            "Column '" + column + "' cannot be a feature and the label, id or time as well.");
      }
      named.add(column);
    }
    return named;
  }

  private static List<String> roles(DataOptions options) {
    List<String> roles = new ArrayList<>();
    for (String column : new String[] {options.label(), options.id(), options.time()}) {
      if (column != null) {
        roles.add(column);
      }
    }
    return roles;
  }

  private void require(Map<String, String> columns, String column) {
    if (!columns.containsKey(column)) {
      List<String> near = Methods.nearest(column, columns.keySet());
      throw new OutriggerException(
          file.getFileName()
              + " has no column '"
              + column
              + "'."
              + (near.isEmpty() ? "" : " Did you mean '" + String.join("' or '", near) + "'?")
              + " Its columns: "
              + columns.keySet().stream().limit(50).collect(Collectors.joining(", "))
              + (columns.size() > 50 ? ", ... (" + columns.size() + ")" : "")
              + ".");
    }
  }

  private static boolean isList(@Nullable String type) {
    return type != null && type.endsWith("]");
  }

  private static boolean isNumeric(String type) {
    return NUMERIC.contains(type) || type.startsWith("DECIMAL");
  }

  private List<String> features(Connection db, Map<String, String> columns) throws SQLException {
    if (!options.features().isEmpty()) {
      if (options.features().size() > 1) {
        for (String column : options.features()) {
          if (isList(columns.get(column))) {
            throw new OutriggerException(
                "Column '" + column + "' holds lists; it can only be the one feature column.");
          }
        }
      }
      return options.features();
    }
    if (isList(columns.get("features"))) {
      return List.of("features");
    }
    List<String> roles = roles(options);
    List<String> found = new ArrayList<>();
    List<String> texts = new ArrayList<>();
    columns.forEach(
        (column, type) -> {
          if (roles.contains(column)) {
            return;
          }
          if (isNumeric(type)) {
            found.add(column);
          } else if (!scan.typed && (type.equals("VARCHAR") || type.equals("JSON"))) {
            texts.add(column);
          }
        });
    if (!texts.isEmpty()) {
      String counts =
          texts.stream()
              .map(
                  c ->
                      "coalesce(count(TRY_CAST("
                          + Table.column(c)
                          + " AS DOUBLE)) >= 0.9 * count("
                          + Table.column(c)
                          + ") AND count("
                          + Table.column(c)
                          + ") > 0, false)")
              .collect(Collectors.joining(", "));
      List<String> numeric =
          Table.row(db, "SELECT " + counts + " FROM (SELECT * FROM " + scan.from + " LIMIT 10000)");
      for (int i = 0; i < texts.size(); i++) {
        if ("true".equals(numeric.get(i))) {
          found.add(texts.get(i));
        }
      }
    }
    if (found.isEmpty()) {
      throw new OutriggerException(
          file.getFileName()
              + " has no numeric feature column. Its columns: "
              + String.join(", ", columns.keySet())
              + ".");
    }
    // In the order of the file.
    return columns.keySet().stream().filter(Set.copyOf(found)::contains).toList();
  }

  private int listLength(Connection db, Map<String, String> columns) throws SQLException {
    String column = features.get(0);
    List<String> length =
        Table.texts(
            db,
            "SELECT len("
                + Table.column(column)
                + ") FROM "
                + scan.from
                + " WHERE "
                + Table.column(column)
                + " IS NOT NULL LIMIT 1");
    if (length.isEmpty() || length.get(0).equals("0")) {
      throw new OutriggerException(
          "Column '" + column + "' of " + file.getFileName() + " holds no values.");
    }
    String type = String.valueOf(columns.get(column));
    String element = type.substring(0, type.lastIndexOf('['));
    if (!isNumeric(element)) {
      throw new OutriggerException(
          "Column '"
              + column
              + "' of "
              + file.getFileName()
              + " is of type "
              + type
              + ", but one list of numbers a row is needed.");
    }
    return Integer.parseInt(length.get(0));
  }

  private List<String> classes(Connection db, String label) throws SQLException {
    if (!options.classNames().isEmpty()) {
      return options.classNames();
    }
    List<String> values =
        Table.texts(
            db,
            "SELECT DISTINCT CAST("
                + Table.column(label)
                + " AS VARCHAR) FROM (SELECT * FROM "
                + scan.from
                + ") WHERE "
                + Table.column(label)
                + " IS NOT NULL LIMIT "
                + (MAX_CLASSES + 1));
    if (values.stream().allMatch(v -> TableWalk.wholeNumber(v) != null)) {
      return List.of();
    }
    if (values.size() > MAX_CLASSES) {
      throw new OutriggerException(
          "Label column '"
              + label
              + "' of "
              + file.getFileName()
              + " has more than "
              + MAX_CLASSES
              + " different values: it does not hold classes.");
    }
    return List.copyOf(new TreeSet<>(values));
  }

  @Override
  public String name() {
    return file.getFileName().toString();
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public List<String> classNames() {
    return classNames;
  }

  @Override
  public List<String> featureColumns() {
    return features;
  }

  @Override
  public boolean labelled() {
    return options.label() != null;
  }

  @Override
  public long[] inputShape() {
    return new long[] {width()};
  }

  private int width() {
    return listLength > 0 ? listLength : features.size();
  }

  /** The names of the features, one a column of the inputs. */
  public List<String> featureNames() {
    return listLength == 0
        ? features
        : IntStream.range(0, listLength).mapToObj(i -> features.get(0) + "[" + i + "]").toList();
  }

  /** Reads all rows into memory, so that they can be shuffled and split. */
  public TensorDataset toMemory() {
    return TensorDataset.copyOf(this);
  }

  @Override
  public Batches batches(int batchSize) {
    if (batchSize < 1) {
      throw new OutriggerException("batchSize = " + batchSize + " is out of range: use 1 or more.");
    }
    List<String> select = new ArrayList<>();
    if (listLength == 0) {
      features.forEach(f -> select.add("TRY_CAST(" + Table.column(f) + " AS FLOAT)"));
    } else {
      String list = Table.column(features.get(0));
      for (int i = 1; i <= listLength; i++) {
        select.add("TRY_CAST(" + list + "[" + i + "] AS FLOAT)");
      }
      select.add("CAST(len(" + list + ") AS BIGINT)");
    }
    for (String column : new String[] {options.label(), options.id(), options.time()}) {
      select.add(
          column == null ? "NULL::VARCHAR" : "CAST(" + Table.column(column) + " AS VARCHAR)");
    }
    // The driver ends a stream that fails in the middle as if it were complete: only a walk that
    // comes to this last row has seen all.
    String end = "SELECT " + "NULL, ".repeat(select.size()) + "true";
    String query =
        "(SELECT "
            + String.join(", ", select)
            + ", false FROM "
            + scan.from
            + (options.limit() > 0 ? " LIMIT " + options.limit() : "")
            + ") UNION ALL "
            + end;
    boolean rejects = scan.kind.equals("CSV") || scan.kind.equals("TSV");
    return new TableWalk(
        file, options, query, featureNames(), listLength > 0, labels, batchSize, rejects);
  }
}
