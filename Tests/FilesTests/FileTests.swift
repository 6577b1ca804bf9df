// Files that a run writes: rows that are appended, files that are replaced, locks, and exit codes.

import Files
import Foundation
import TestSupport
import Testing

@Suite("Files")
struct FileTests {
  @Test("rows are appended, and a file that goes on is cut to what it keeps")
  func output() throws {
    let scratch = try TemporaryDirectory()
    let path = scratch.file("rows.csv")
    do {
      let file = try OutputFile(creating: path)
      try file.append("one\n")
      try file.append("two\n")
    }
    do {
      let file = try OutputFile(appendingTo: path, keeping: 4)
      try file.append("three\n")
    }
    #expect(try readText(path, what: "rows") == "one\nthree\n")
  }

  @Test("a file is replaced as a whole, or not at all")
  func replaced() throws {
    let scratch = try TemporaryDirectory()
    let path = scratch.file("manifest.json")
    try OutputFile.replace(path, with: "old")
    try OutputFile.replace(path, with: "new", onlyIf: { false })
    #expect(try readText(path, what: "file") == "old")
    try OutputFile.replace(path, with: "new")
    #expect(try readText(path, what: "file") == "new")
    #expect(throws: CommandFailure.self) {
      try OutputFile.replace(path, with: "newer", onlyIfNew: true)
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["manifest.json"])
  }

  @Test("a text that is missing or too long names the file")
  func reading() throws {
    let scratch = try TemporaryDirectory()
    let path = scratch.file("x.yaml")
    let missing = #expect(throws: CommandFailure.self) { try readText(path, what: "experiment") }
    #expect(missing?.description.contains(path) == true)
    try OutputFile.replace(path, with: "12345")
    #expect(try readText(path, what: "experiment", atMost: 5) == "12345")
    #expect(throws: CommandFailure.self) { try readText(path, what: "experiment", atMost: 4) }
  }

  @Test("a lock belongs to one at a time, and its file says what was written")
  func locks() throws {
    let scratch = try TemporaryDirectory()
    let path = scratch.file(".lock")
    let second = try LockFile(path)
    do {
      let first = try LockFile(path)
      #expect(try first.lock())
      try first.write("mine")
      #expect(try second.content() == "mine")
      #expect(try !second.lock())
    }
    #expect(try second.lock())
  }
}
