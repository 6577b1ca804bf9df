// A table as a list of columns: the name of each beside its cell.

/// A column of a table whose rows are made of values of type `Row`.
struct Column<Row> {
  /// The name in the header.
  let name: String
  /// The cell of a row.
  let cell: (Row) -> String

  /// A column.
  init(_ name: String, _ cell: @escaping (Row) -> String) {
    self.name = name
    self.cell = cell
  }

  /// The columns if `condition` is true, else none.
  static func when(_ condition: Bool, _ columns: [Column]) -> [Column] {
    condition ? columns : []
  }
}

/// A CSV file whose rows are made of values of type `Row`.
final class ColumnTable<Row> {
  private let columns: [Column<Row>]
  let table: Table
  /// The names in the header.
  var names: [String] { table.columns }

  /// Creates the file, or finds that of a run that continues (`Table`).
  /// - Throws: as `Table`.
  init(creating path: String, _ columns: [Column<Row>], keepingRoundsBelow kept: RoundsKept?) throws
  {
    self.columns = columns
    table = try Table(
      creating: path, columns: columns.map(\.name), keepingRoundsBelow: kept)
  }

  /// Adds a row; it is in the file after `table.flush`.
  /// - Returns: Its cells.
  @discardableResult
  func append(_ row: Row) -> [String] {
    let cells = columns.map { $0.cell(row) }
    table.append(cells)
    return cells
  }
}
