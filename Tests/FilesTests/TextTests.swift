// Text for people and programs: tables, numbers, curves, words.

import Files
import Foundation
import Testing

@Suite("Text")
struct TextTests {
  @Test(
    "a CSV line has quoted cells where needed, and is read back",
    arguments: [
      (["a", "b"], "a,b\n"), (["", ""], ",\n"), (["a,b", "c"], "\"a,b\",c\n"),
      (["say \"x\"", "2"], "\"say \"\"x\"\"\",2\n"), (["\"", ""], "\"\"\"\",\n"),
      (["two\nlines"], "\"two\nlines\"\n"),
    ])
  func csv(_ cells: [String], _ line: String) {
    #expect(csvRow(cells) == line)
    #expect(csvCells(line.dropLast()) == cells)
  }

  @Test("a client's name stays on one line")
  func names() {
    #expect(nameCell("a\nb\rc") == "a\\nb\\rc")
    #expect(nameCell(nil) == "")
  }

  @Test("columns are aligned, numbers to the right")
  func aligned() {
    let lines = alignedText([
      ["name", "count"], ["dense", "7"], ["x", "1200"],
    ]).split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
    #expect(lines == ["name   count", "dense      7", "x       1200"])
    #expect(alignedText([]) == "")
  }

  @Test(
    "bytes have a unit of powers of 1000",
    arguments: [
      (0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (9_990, "9.99 kB"), (12_345, "12.3 kB"),
      (7_550_000, "7.55 MB"), (2_000_000_000, "2.00 GB"), (3_000_000_000_000, "3.00 TB"),
    ])
  func bytes(_ count: Int, _ text: String) { #expect(byteText(count) == text) }

  @Test(
    "durations",
    arguments: [
      (0.4, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (185, "3:05 min"), (7800, "2:10 h"),
      (-1, "?"), (.infinity, "inf"),
    ])
  func durations(_ seconds: Double, _ text: String) { #expect(durationText(seconds) == text) }

  @Test("digits in groups of three, and dates in UTC")
  func numbers() {
    #expect(grouped(1) == "1")
    #expect(grouped(1_234_567) == "1 234 567")
    #expect(grouped(-1000) == "-1 000")
    #expect(fixed(2.0 / 3, 3) == "0.667")
    #expect(timeText(Date(timeIntervalSince1970: 1_000_000_000)) == "2001-09-09T01:46:40Z")
  }

  @Test(
    "words as a shell reads them back",
    arguments: [("x/y.z", "x/y.z"), ("a b", "'a b'"), ("", "''"), ("it's", "'it'\\''s'")])
  func shell(_ word: String, _ text: String) throws {
    #expect(shellWord(word) == text)
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", "printf %s \(shellWord(word))"]
    process.standardOutput = pipe
    try process.run()
    #expect(
      String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self) == word)
    process.waitUntilExit()
  }

  @Test(
    "the distance of two words counts swaps of neighbours as one",
    arguments: [
      ("", "", 0), ("rank", "rank", 0), ("rank", "rnak", 1), ("alpha", "alfa", 2), ("", "abc", 3),
    ])
  func distance(_ a: String, _ b: String, _ count: Int) {
    #expect(editDistance(a, b) == count)
    #expect(editDistance(b, a) == count)
  }

  @Test("a curve has a gap where there is no value, and is averaged to its width")
  func curves() {
    #expect(sparkline([0, 1, 2, 3, 4, 5, 6, 7], width: 8) == "▁▂▃▄▅▆▇█")
    #expect(sparkline([0, nil, 7], width: 10) == "▁ █")
    #expect(sparkline([0, 2, 7, 7], width: 2) == "▁█")
    #expect(sparkline([3, 3], width: 2) == "▄▄")
    #expect(sparkline([nil, .infinity], width: 2) == "")
  }
}
