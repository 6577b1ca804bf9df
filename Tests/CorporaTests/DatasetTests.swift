// Token data sets: what is written is read, and every kind of wrong file has its one clear line.

import Corpora
import Foundation
import Safetensors
import TestSupport
import Testing

/// The parts of a data set, right unless a test says otherwise: examples [5, 6], [7], [65535, 0,
/// 1].
struct DatasetParts {
  var tokens: [Int] = [5, 6, 7, 65535, 0, 1]
  var tokenType = ElementType.u16
  var tokenShape: [Int]?
  var offsets: [Int64]? = [0, 2, 3, 6]
  var labels: [Int32]? = [1, 0, 1]
  var clients: [Int32]?
  var metadata = ["label_names": "[\"no\",\"yes\"]", "tokenizer_sha256": "ab12"]

  func write(_ path: String) throws {
    let bytes = tokens.flatMap { token in
      (0..<tokenType.byteCount).map { UInt8(truncatingIfNeeded: token >> (8 * $0)) }
    }
    var tensors = [
      TensorToWrite(
        name: "tokens", elementType: tokenType, shape: tokenShape ?? [tokens.count], bytes: bytes)
    ]
    if let offsets {
      tensors.append(TensorToWrite(name: "offsets", shape: [offsets.count], int64s: offsets))
    }
    if let labels {
      tensors.append(TensorToWrite(name: "labels", shape: [labels.count], int32s: labels))
    }
    if let clients {
      tensors.append(TensorToWrite(name: "clients", shape: [clients.count], int32s: clients))
    }
    try SafetensorsWriter.write(tensors, metadata: metadata, to: path)
  }

  func open() throws -> TokenDataset {
    let folder = try TemporaryDirectory()
    try write(folder.file("x.safetensors"))
    return try TokenDataset(path: folder.file("x.safetensors"))
  }
}

@Suite("token data sets")
struct DatasetTests {
  @Test(
    "examples, labels and owners are read from every token type",
    arguments: [ElementType.u16, .u32, .i32])
  func reading(type: ElementType) throws {
    let dataset = try DatasetParts(tokenType: type, clients: [4, 0, 4]).open()
    #expect(dataset.count == 3)
    var tokens: [Int32] = [-1]
    for example in 0..<3 { dataset.appendTokens(of: example, limit: 100, to: &tokens) }
    #expect(tokens == [-1, 5, 6, 7, 65535, 0, 1])
    tokens = []
    dataset.appendTokens(of: 2, limit: 2, to: &tokens)
    #expect(tokens == [65535, 0])
    #expect((0..<3).map { dataset.tokenCount(of: $0, limit: 2) } == [2, 1, 2])
    #expect(dataset.tokenCount(of: 2) == 3)
    #expect((0..<3).map { dataset.label(of: $0) } == [1, 0, 1])
    #expect((0..<3).map { dataset.owner(of: $0) } == [4, 0, 4])
    #expect(dataset.labelNames == ["no", "yes"] && dataset.labelCount == 2)
    #expect(dataset.tokenizerHash == "ab12" && dataset.largestToken == 65535)
  }

  @Test("labels, owners and metadata are optional")
  func bare() throws {
    let dataset = try DatasetParts(labels: nil, metadata: [:]).open()
    #expect(!dataset.hasLabels && dataset.owner(of: 0) == nil)
    #expect(dataset.labelNames.isEmpty && dataset.labelCount == 0 && dataset.tokenizerHash == nil)
    #expect(try DatasetParts(labels: [0, 4, 1], metadata: [:]).open().labelCount == 5)
  }

  static let wrong: [(String, DatasetParts)] = [
    ("no tensor offsets", DatasetParts(offsets: nil)),
    ("offsets hold 0 numbers", DatasetParts(tokens: [], offsets: [], labels: nil)),
    ("no examples: offsets hold 1 numbers", DatasetParts(tokens: [], offsets: [0], labels: [])),
    ("offsets start with 1", DatasetParts(offsets: [1, 2, 3, 6])),
    ("offsets start with -1", DatasetParts(offsets: [-1, 2, 3, 6])),
    ("example 1 is empty: offsets 2, 2", DatasetParts(offsets: [0, 2, 2, 6])),
    ("example 1 has reversed offsets", DatasetParts(offsets: [0, 4, 3, 6])),
    ("offsets end at 5, but there are 6", DatasetParts(offsets: [0, 2, 3, 5])),
    ("offsets end at 9223372036854775807", DatasetParts(offsets: [0, 2, 3, .max])),
    ("tokens is U16 [2, 3]", DatasetParts(tokenShape: [2, 3])),
    ("tokens is I64 [6], not U16, U32, I32", DatasetParts(tokenType: .i64)),
    ("a token is -5", DatasetParts(tokens: [1, 2, -5, 3, 4, 5], tokenType: .i32)),
    ("a token is 4294967295", DatasetParts(tokens: [1, 2, -1, 3, 4, 5], tokenType: .u32)),
    ("2 labels for 3 examples", DatasetParts(labels: [0, 1])),
    ("labels, example 2: -1", DatasetParts(labels: [0, 1, -1])),
    ("example 1 has label 2 of 2 label_names", DatasetParts(labels: [0, 2, 1])),
    ("clients, example 0: -3", DatasetParts(clients: [-3, 0, 1])),
    ("4 clients for 3 examples", DatasetParts(clients: [1, 2, 3, 4])),
    ("label_names is not a JSON list", DatasetParts(metadata: ["label_names": "no,yes"])),
    ("label_names is not a JSON list", DatasetParts(metadata: ["label_names": "[1,2]"])),
  ]

  @Test("every wrong data set is refused in one line that names the fault", arguments: wrong)
  func refusals(words: String, parts: DatasetParts) throws {
    let error = #expect(throws: CorpusError.self) { try parts.open() }
    let line = error?.description ?? ""
    #expect(line.contains(words) && line.contains("x.safetensors: ") && !line.contains("\n"))
  }

  @Test("a file that is not there or not safetensors is refused with its path")
  func notSafetensors() throws {
    let folder = try TemporaryDirectory()
    #expect(throws: SafetensorsError.self) { try TokenDataset(path: folder.file("none")) }
    try Data("text".utf8).write(to: URL(filePath: folder.file("text")))
    #expect(throws: SafetensorsError.self) { try TokenDataset(path: folder.file("text")) }
  }
}

@Suite("token corpora")
struct CorpusTests {
  @Test("a corpus has train and test, and validation where it was made")
  func splits() throws {
    let folder = try TemporaryDirectory()
    try DatasetParts().write(folder.file("train.safetensors"))
    #expect(throws: SafetensorsError.self) { try TokenCorpus(directory: folder.path) }
    try DatasetParts(labels: [0, 0, 0]).write(folder.file("test.safetensors"))
    let corpus = try TokenCorpus(directory: folder.path)
    #expect(corpus.validation == nil && corpus.train.count == 3 && corpus.labelCount == 2)
    #expect(corpus.largestToken == 65535)
    try corpus.requireLabels()
    try DatasetParts().write(folder.file("validation.safetensors"))
    #expect(try TokenCorpus(directory: folder.path).validation?.count == 3)
  }

  @Test("splits that do not belong together are refused")
  func mixed() throws {
    let folder = try TemporaryDirectory()
    try DatasetParts().write(folder.file("train.safetensors"))
    var otherNames = DatasetParts()
    otherNames.metadata["label_names"] = "[\"yes\",\"no\"]"
    var otherTokenizer = DatasetParts()
    otherTokenizer.metadata["tokenizer_sha256"] = "cd34"
    for (words, parts) in [
      ("label_names differ", otherNames), ("tokenizer_sha256 differs", otherTokenizer),
      ("has no labels, unlike", DatasetParts(labels: nil)),
    ] {
      try parts.write(folder.file("test.safetensors"))
      let error = #expect(throws: CorpusError.self) { try TokenCorpus(directory: folder.path) }
      #expect(error?.description.contains(words) == true)
    }
  }

  @Test("classification asks for labels of two classes")
  func classification() throws {
    let folder = try TemporaryDirectory()
    for (words, parts) in [
      ("no tensor labels", DatasetParts(labels: nil, metadata: [:])),
      ("1 class", DatasetParts(labels: [0, 0, 0], metadata: [:])),
    ] {
      try parts.write(folder.file("train.safetensors"))
      try parts.write(folder.file("test.safetensors"))
      let corpus = try TokenCorpus(directory: folder.path)
      let error = #expect(throws: CorpusError.self) { try corpus.requireLabels() }
      #expect(error?.description.contains(words) == true)
    }
  }
}
