// A population for people (a table of spreads) and for programs: a CSV with a row for each client
// and label, from which a picture can be drawn, or the JSON that `partition.kind: file` reads.

internal import Corpora
internal import Files
import Foundation
internal import Safetensors

/// The clients that a table looks at; those of larger populations are taken in even distances.
let examinedClients = 10_000

/// A population as a table: least, deciles, most and mean of each property over the clients.
///
/// - Parameter further: Rows of counts that a client has besides, such as its tokens.
func populationText(
  _ population: any Population, labels: [Int32]?,
  further: [(name: String, count: (_ examples: [Int]) -> Int)] = []
) -> String {
  let statistics = population.statistics(labels: labels, clients: examinedClients)
  func row(_ name: String, _ spread: Spread, _ text: (Double) -> String) -> [String] {
    [name, text(spread.minimum)] + spread.deciles.map(text)
      + [text(spread.maximum), text(spread.mean)]
  }
  func count(_ value: Double) -> String {
    value == value.rounded() || value >= 100
      ? grouped(Int(value.rounded())) : fixed(value, 1)
  }
  func share(_ value: Double) -> String { fixed(value, 2) }
  var rows = [
    ["per client", "least"] + (1...9).map { "\($0)0%" } + ["most", "mean"],
    row("examples", statistics.examplesPerClient, count),
  ]
  for (name, counted) in further {
    let counts = population.clients(atMost: examinedClients).map {
      counted(population.examples(of: $0))
    }
    rows.append(row(name, Spread(counts), count))
  }
  if let labels = statistics.labels {
    rows.append(row("labels", labels.perClient, count))
    rows.append(row("label distance", labels.distance, share))
    rows.append(row("label entropy", labels.entropy, share))
  }
  var text = alignedText(rows, indent: "  ")
  if let labels = statistics.labels {
    text +=
      "  label distance: total variation from the corpus's shares, 0 to 1; entropy in bits,"
      + " the corpus has \(fixed(labels.corpusEntropy, 2))\n"
  }
  if statistics.examined < statistics.clients {
    text += "  of \(grouped(statistics.examined)) clients in even distances\n"
  }
  return text
}

/// Writes a population to a file, by the end of its name: `.csv` has a row for each client and
/// label, `.json` the example indices of each client.
/// - Parameters:
///   - limit: The tokens to which an example is cut.
///   - clientsAtMost: A CSV has so many clients at most; those of a larger population are taken in even
///     distances.
///   - isReplacing: Replaces a file that is there as a whole; otherwise that is refused.
/// - Returns: A line for the user.
/// - Throws: 64 for another name or a file that exists, 74 where writing fails.
func writePopulation(
  _ population: any Population, of train: TokenDataset, limit: Int,
  clientsAtMost: Int = 10 * examinedClients,
  replacing isReplacing: Bool = false, to path: String
) throws -> String {
  let clients: [Int]
  let lines: (Int) -> String
  let ends: (first: String, last: String)
  switch URL(fileURLWithPath: path).pathExtension {
  case "csv":
    clients = population.clients(atMost: clientsAtMost)
    let names = population.name(of: 0) == nil ? "" : ",client_name"
    ends = ("client,label,label_name,examples,tokens\(names)\n", "")
    lines = { client in rows(client, population, train, limit).map(csvRow).joined() }
  case "json":
    clients = Array(0..<population.clientCount)
    ends = ("[\n", "]\n")
    lines = { client in
      "\(population.examples(of: client))" + (client + 1 < clients.count ? ",\n" : "\n")
    }
  default:
    throw CommandFailure(
      ExitCode.usage, "--partition \(path): give a name that ends with .csv or .json")
  }
  let taken = CommandFailure(ExitCode.usage, "--partition \(path): exists; give a new file")
  if try !isReplacing && isThere(path) { throw taken }
  do {
    try writeAtomically(to: path, onlyIfNew: !isReplacing) { file in
      try file.append(ends.first)
      for start in stride(from: 0, to: clients.count, by: 1000) {
        try file.append(clients[start..<min(start + 1000, clients.count)].map(lines).joined())
      }
      try file.append(ends.last)
    }
  } catch let error as SafetensorsError {
    throw error.errorNumber == EEXIST ? taken : CommandFailure(ExitCode.inputOutput, "\(error)")
  }
  return "\(path): \(grouped(clients.count)) clients\n"
}

/// A client's rows, in the order of the labels; without labels one row.
private func rows(
  _ client: Int, _ population: any Population, _ train: TokenDataset, _ limit: Int
) -> [[String]] {
  let groups = Dictionary(grouping: population.examples(of: client)) { train.labels?[$0] ?? -1 }
  return groups.sorted { $0.key < $1.key }.map { label, examples in
    let isNamed = train.labelNames.indices.contains(Int(label))
    let name = population.name(of: client).map { [nameCell($0)] } ?? []
    return [
      "\(client)", label < 0 ? "" : "\(label)", isNamed ? train.labelNames[Int(label)] : "",
      "\(examples.count)", "\(examples.reduce(0) { $0 + train.tokenCount(of: $1, limit: limit) })",
    ] + name
  }
}
