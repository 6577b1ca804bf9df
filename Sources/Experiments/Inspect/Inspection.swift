// `cellm-mpi inspect`: what a path is and what is in it, as tables.

internal import Adapters
package import Configuration
internal import Corpora
internal import Federation
package import Files
internal import Foundation
internal import RunFiles
internal import Safetensors
internal import Transformers

/// Describes a model, a corpus, an adapter, a run's or sweep's directory, or a safetensors file.
///
/// - Parameters:
///   - path: A path, or the name of a model or corpus in the asset directory.
///   - style: Of a run's curves.
/// - Throws: 66 where there is nothing, 65 where it is malformed or of no known kind, 74 where it cannot
///   be read.
package func inspection(
  of path: String, assets: AssetDirectory = AssetDirectory(), style: TextStyle = TextStyle()
) throws -> String {
  var place = path
  if try !isThere(place), !path.hasPrefix("/"), !path.hasPrefix(".") {
    place = assets.resolve(path)
  }
  guard let kind = try fileKind(of: place) else {
    guard place != path else {
      throw CommandFailure(ExitCode.missingInput, "\(path) does not exist")
    }
    throw assets.missing([path])
  }
  if kind != .folder {
    guard place.hasSuffix(".safetensors") else {
      throw CommandFailure(
        ExitCode.data, "\(place) is a file of an unknown kind; give a directory or .safetensors")
    }
    return try safetensorsText(place)
  }
  func has(_ name: String) throws -> Bool { try isThere(place + "/" + name) }
  if try has("config.yaml"), try has("manifest.json") { return try runText(place, style: style) }
  if try has(SweepTable.pointsName) { return try sweepText(place) }
  if try has("adapter_config.json") { return try adapterText(place) }
  if try has("train.safetensors") { return try corpusText(place) }
  if try has("config.json") { return try modelText(place) }
  throw CommandFailure(
    ExitCode.data,
    "\(place) is no model (config.json), corpus (train.safetensors), adapter (adapter_config.json)"
      + ", run (config.yaml, manifest.json) or sweep (points.csv)")
}

private func safetensorsText(_ path: String) throws -> String {
  let file = try SafetensorsFile(path: path)
  var text = "safetensors file \(path)\n"
  for (key, value) in file.metadata.sorted(by: { $0.key < $1.key }) {
    text += "  \(key): \(value.count > 200 ? value.prefix(197) + "..." : value)\n"
  }
  let rows = file.tensors.map {
    [$0.name, $0.elementType.rawValue, shapeText($0.shape), byteText($0.byteRange.count)]
  }
  let bytes = file.tensors.reduce(0) { $0 + $1.byteRange.count }
  return text + alignedText([["tensor", "type", "shape", "size"]] + rows, indent: "  ")
    + "  \(file.tensors.count) tensors, \(byteText(bytes))\n"
}

private func shapeText(_ shape: [Int]) -> String {
  "(" + shape.map(String.init).joined(separator: ", ") + ")"
}

private func modelText(_ path: String) throws -> String {
  let model = try PretrainedModel(directory: path)
  let shape = model.configuration
  let rows = [
    ["property", "value"],
    ["family", shape.family.name],
    ["parameters", grouped(model.parameterCount)],
    ["stored", byteText(model.storedBytes)],
    ["blocks", "\(shape.layerCount)"],
    ["channels", "\(shape.channels)"],
    ["heads", "\(shape.headCount) of \(shape.headSize), \(shape.keyValueHeadCount) key/value"],
    ["feed-forward", "\(shape.intermediateSize)\(shape.isGated ? ", gated" : "")"],
    shape.image.map {
      [
        "images",
        "\($0.size) x \($0.size) \($0.channels == 1 ? "grey" : "of \($0.channels) channels"), patches of"
          + " \($0.patchSize) x \($0.patchSize)",
      ]
    } ?? ["vocabulary", grouped(shape.vocabularySize)],
    ["positions", grouped(shape.maximumPositions)],
    ["attention", shape.isCausal ? "causal" : "bidirectional"],
    [
      "language head",
      model.languageHead == nil ? "no" : model.tiesLanguageHead ? "token embedding" : "yes",
    ],
    ["classification head", model.classificationHead.map(headText) ?? "no"],
  ]
  return "model \(path)\n" + alignedText(rows, indent: "  ") + noteText(model.notices)
}

private func headText(_ head: PretrainedModel.StoredHead) -> String {
  let names = head.labelNames.map { $0.prefix(20).joined(separator: ", ") }
  let rest = head.labels > 20 ? ", ..." : ""
  return "\(head.labels) labels" + (names.map { ": " + $0 + rest } ?? "")
}

private func corpusText(_ path: String) throws -> String {
  let corpus = try TokenCorpus(directory: path)
  let images = corpus.train.images
  let lengthNames = images == nil ? ["tokens", "longest"] : []
  var rows = [["split", "examples"] + lengthNames + ["labels", "clients"]]
  for (name, split) in corpus.namedSplits {
    let lengths = (0..<split.count).map { split.tokenCount(of: $0) }
    rows.append(
      [name, grouped(split.count)]
        + (images == nil ? [grouped(lengths.reduce(0, +)), grouped(lengths.max() ?? 0)] : [])
        + [
          split.hasLabels ? "\(split.labelCount)" : "-",
          split.owners.map { "\(Set($0).count)" } ?? "-",
        ])
  }
  let kind = images == nil ? "token data set" : "image data set"
  var text = "\(kind) \(path)\n" + alignedText(rows, indent: "  ")
  text +=
    images.map {
      "  \($0.height) x \($0.width) pixels, \($0.channels == 1 ? "grey" : "\($0.channels) channels")\n"
    }
    ?? "  largest token \(corpus.largestToken)\n"
  if let hash = corpus.train.tokenizerHash { text += "  tokenizer \(hash)\n" }
  if let owners = corpus.train.owners {
    text += "  natural clients\n"
    let clients = try Partition.natural(owners: owners, names: corpus.train.clientNames)
    text += populationText(clients, labels: corpus.train.labels)
    text += clientsText(clients)
  }
  let names = corpus.train.labelNames
  if !names.isEmpty { text += "  labels: \(names.joined(separator: ", "))\n" }
  return text
}

/// The first natural clients: the numbers that a run, its traces and cohort files have for them, and
/// the names, or else the numbers, that the corpus has.
private func clientsText(_ clients: Partition) -> String {
  let shown = 20
  let rows = (0..<min(shown, clients.clientCount)).map { client in
    ["\(client)", nameCell(clients.name(of: client)), grouped(clients.exampleCount(of: client))]
  }
  let rest =
    clients.clientCount > shown
    ? "  ... and \(grouped(clients.clientCount - shown)) more; plan --partition FILE.csv lists all\n"
    : ""
  return "  clients by their number in a run, a trace or a cohort file\n"
    + alignedText([["client", "name in the corpus", "examples"]] + rows, indent: "  ") + rest
}

private func adapterText(_ path: String) throws -> String {
  let adapter = try AdapterDescription(directory: path)
  let lora = adapter.lora
  let targets =
    switch lora.targets {
    case .allLinear: "all linear layers"
    case .named(let names): targetText(names)
    }
  let file = try SafetensorsFile(path: path + "/adapter_model.safetensors")
  let count = file.tensors.reduce(0) { $0 + $1.elementCount }
  let rows = [
    ["property", "value"], ["base model", adapter.baseModel ?? "-"], ["task", adapter.task ?? "-"],
    ["rank", "\(lora.loraRank)"], ["alpha", short(Double(lora.alpha))],
    ["scale", short(Double(lora.scale)) + (lora.isRankStabilized ? ", rank-stabilized" : "")],
    ["dropout", short(Double(lora.dropout))],
    ["initialization", adapter.initialization ?? "standard"],
    ["targets", targets],
    ["blocks", lora.layers.map { $0.map(String.init).joined(separator: ", ") } ?? "all"],
    [
      "saved as a whole",
      adapter.savedModules.isEmpty ? "-" : adapter.savedModules.joined(separator: ", "),
    ],
    ["parameters", grouped(count)],
  ]
  return "PEFT adapter \(path)\n" + alignedText(rows, indent: "  ") + noteText(adapter.notices)
    + (try safetensorsText(path + "/adapter_model.safetensors"))
}

/// The last parts of module paths, each once, in their order; one name may be a pattern.
private func targetText(_ names: [String]) -> String {
  let isPlain = names.allSatisfy { name in
    name.utf8.allSatisfy {
      $0 == 0x2E || $0 == 0x5F || Character(Unicode.Scalar($0)).isLetter
        || Character(Unicode.Scalar($0)).isNumber
    }
  }
  guard isPlain else { return names.joined(separator: ", ") }
  let modules = Set(names.map { $0.split(separator: ".").last.map(String.init) ?? $0 }).sorted()
  let paths = names.contains { $0.contains(".") } ? "\(names.count) modules: " : ""
  return paths + modules.joined(separator: ", ")
}

/// Remarks, a line each.
private func noteText(_ notices: [String]) -> String {
  notices.map { "  note: \($0)\n" }.joined()
}
