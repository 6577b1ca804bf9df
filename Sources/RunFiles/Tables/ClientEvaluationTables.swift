// client_evaluation.csv, a row for each client that was evaluated, and evaluation_clients.csv, a row
// for each group of them.

package import Federation
internal import Files

/// The tables of evaluations on single clients.
package final class ClientEvaluationTables {
  private let clients: Table
  private let groups: Table
  private let numbers: RoundNumbers
  private let clientName: ((Int) -> String?)?
  private let hasAnswers: Bool

  /// Tables of a new run, or of one that goes on after the rounds that are kept.
  ///
  /// - Parameters:
  ///   - clientName: The corpus's name of a client; nil for no column of names.
  ///   - hasAnswers: True for columns of exact matches.
  package init(
    _ directory: RunDirectory, clientName: ((Int) -> String?)? = nil, hasAnswers: Bool = false,
    numbers: RoundNumbers, keeping kept: RoundsKept?
  ) throws {
    self.hasAnswers = hasAnswers
    self.numbers = numbers
    self.clientName = clientName
    clients = try Table(
      creating: directory.file("client_evaluation.csv"),
      columns: [
        "round", "group", "masked", "client", "examples", "items", "correct", "accuracy", "loss",
      ] + (hasAnswers ? ["exact_match"] : []) + (clientName == nil ? [] : ["client_name"]),
      keepingRoundsBelow: kept)
    groups = try Table(
      creating: directory.file("evaluation_clients.csv"),
      columns: ["round", "group", "masked", "clients", "examples", "accuracy_mean"]
        + (1...9).map { "accuracy_p\($0)0" } + [
          "accuracy_worst_tenth", "loss_mean",
        ] + (hasAnswers ? ["exact_match_mean"] : []) + ["evaluate_seconds"],
      keepingRoundsBelow: kept)
  }

  package func append(_ record: ClientEvaluationRecord, _ metrics: MetricsFile) {
    let place = ["\(numbers[after: record.round])", record.group.rawValue, record.vector.column]
    for client in record.clients {
      clients.append(
        place + [
          "\(client.client)", "\(client.examples)", "\(client.count)", "\(client.correct)",
          "\(client.accuracy)", "\(client.loss)",
        ] + (hasAnswers ? [client.exactMatch.map { "\($0)" } ?? ""] : [])
          + (clientName.map { [nameCell($0(client.client))] } ?? []))
    }
    let accuracy = record.accuracy
    let row =
      place + [
        "\(record.clients.count)", "\(record.clients.reduce(0) { $0 + $1.examples })",
        "\(accuracy.mean)",
      ] + accuracy.deciles.map { "\($0)" } + [
        "\(record.worstTenthAccuracy)", "\(record.meanLoss)",
      ] + (hasAnswers ? [record.meanExactMatch.map { "\($0)" } ?? ""] : [])
      + [fixed(record.seconds, 6)]
    groups.append(row)
    metrics.append("evaluation_clients", groups.columns, row)
  }

  /// Cuts off the rows of the rounds that are played again, once.
  func cutBack() throws {
    try clients.cutBack()
    try groups.cutBack()
  }

  /// Writes the rows added since.
  package func flush() throws {
    try clients.flush()
    try groups.flush()
  }
}

extension EvaluatedVector {
  /// Whether it is masked, as the tables say it.
  package var column: String { self == .masked ? "true" : "false" }
}
