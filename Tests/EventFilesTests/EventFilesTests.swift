// Event files against bytes that TensorBoard's own writer made (Tests/Goldens/event-files), and what a run
// that goes on relies on.
import EventFiles
import Foundation
import TestSupport
import Testing

private let golden: [UInt8] = {
  FileManager.default.contents(atPath: goldenPath("event-files/scalars.tfevents"))
    .map(Array.init) ?? []
}()

private let points: [(step: Int, values: [(tag: String, value: Double)])] = [
  (0, [("train/loss", 2.5)]), (3, [("train/loss", -0.0), ("payload/up_bytes", 1e12)]),
  (300, [("a b/ü", 1e-40)]),
]

private func ours() throws -> [UInt8] {
  try points.reduce(ScalarEvents.start(wallTime: 1_700_000_000.5, goingOnFrom: 3)) {
    try $0
      + ScalarEvents.points(
        step: $1.step, wallTime: 1_700_000_000.5 + Double($1.step), $1.values)
  }
}

struct EventFilesTests {
  @Test("our bytes are those of TensorBoard's own writer")
  func bytes() throws {
    #expect(golden.count > 200)
    #expect(try ours() == golden)
  }

  @Test("CRC32C gives the published values")
  func crc() {
    // RFC 3720, appendix B.4.
    let cases: [([UInt8], UInt32)] = [
      (Array(repeating: 0, count: 32), 0x8a91_36aa),
      (Array(repeating: 0xff, count: 32), 0x62a8_ab43),
      (Array(0..<32), 0x46dd_794e), (Array((0..<32).reversed()), 0x113f_db5c),
      (Array("123456789".utf8), 0xe306_9283), ([], 0),
    ]
    for (bytes, expected) in cases { #expect(TFRecord.crc(bytes[...]) == expected) }
  }

  @Test("what was written is read, and a number that is not finite is left out")
  func reading() throws {
    let found = try ScalarEvents.points(in: golden)
    #expect(
      found.map(\.tag) == ["train/loss", "train/loss", "payload/up_bytes", "a b/ü"])
    #expect(found.map(\.step) == [0, 3, 3, 300])
    #expect(found.map(\.value) == [2.5, -0.0, 1e12, Float(1e-40)])
    let some = try ScalarEvents.points(
      step: 1, wallTime: 0, [("a", .nan), ("b", 1), ("c", -.infinity)])
    #expect(try ScalarEvents.points(in: some).map(\.tag) == ["b"])
  }

  @Test(
    "a file is cut before the first point of a step, at the end of a record, however it was torn")
  func cutting() throws {
    func stepsLeft(_ bytes: [UInt8], _ step: Int) throws -> [Int] {
      let length = try ScalarEvents.length(of: bytes, belowStep: step)
      let kept = Array(bytes[..<length])
      #expect(TFRecord.records(in: kept).last?.end ?? 0 == length)
      return try ScalarEvents.points(in: kept).map(\.step)
    }
    #expect(try stepsLeft(golden, 0) == [])
    #expect(try stepsLeft(golden, 3) == [0])
    #expect(try stepsLeft(golden, 4) == [0, 3, 3])
    #expect(try stepsLeft(golden, 1000) == [0, 3, 3, 300])
    for torn in 1..<golden.count {
      let steps = try stepsLeft(Array(golden[..<torn]), 1000)
      #expect([0, 3, 3, 300].starts(with: steps))
    }
    // A flipped bit in the first point's data ends what is whole.
    var damaged = golden
    let first = TFRecord.records(in: golden)[1].end
    damaged[first + 20] ^= 1
    #expect(try stepsLeft(damaged, 1000) == [])
    #expect(TFRecord.records(in: damaged).count == 2)
  }
}
