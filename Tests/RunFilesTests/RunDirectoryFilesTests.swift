// Files of a run directory: tables, the lock, and what clients keep back.

import Files
import Foundation
import RunFiles
import TestSupport
import Testing

@Suite("Files of a run directory")
struct RunDirectoryFilesTests {
  @Test("a table has a header and one row a line, and rows are there after a flush")
  func table() throws {
    let scratch = try TemporaryDirectory()
    let path = scratch.file("t.csv")
    let table = try Table(creating: path, columns: ["round", "name"])
    #expect(try readText(path, what: "table") == "round,name\n")
    table.append(["1", "a,b"])
    table.append(["2", "two\nlines"])
    #expect(try readText(path, what: "table") == "round,name\n")
    try table.flush()
    #expect(try readText(path, what: "table") == "round,name\n1,\"a,b\"\n2,two lines\n")
    #expect(try Table.columns(of: path) == ["round", "name"])
    #expect(try Table.columns(of: scratch.file("none.csv")) == [""])
  }

  @Test("a lock is refused with the process that has it, and free after its end")
  func lock() throws {
    let scratch = try TemporaryDirectory()
    var said: [String] = []
    do {
      let held = try RunLock.take(scratch.path, host: "here", say: { said.append($0) })
      #expect(said == [])
      let living = #expect(throws: CommandFailure.self) {
        _ = try RunLock.take(scratch.path, host: "here", patience: 0, say: { said.append($0) })
      }
      // This process lives on this host: another start is the user's mistake.
      #expect(living?.exitCode == ExitCode.usage)
      #expect(living?.description.contains("process \(getpid()) on here") == true)
      let elsewhere = #expect(throws: CommandFailure.self) {
        _ = try RunLock.take(scratch.path, host: "there", patience: 0, say: { _ in })
      }
      #expect(elsewhere?.exitCode == ExitCode.stopped)
      #expect(said.count == 1 && said[0].contains("waiting up to 0 s"))
      withExtendedLifetime(held) {}
    }
    _ = try RunLock.take(scratch.path, host: "here", patience: 0, say: { said.append($0) })
    #expect(said.count == 1)
  }

  @Test("a client's residual is that before a round, and old files go as checkpoints allow")
  func residuals() throws {
    let scratch = try TemporaryDirectory()
    let folder = scratch.file("residuals")
    let files = ResidualFiles()
    try files.place(in: folder)
    func keep(_ value: Float, round: Int) throws {
      try [value, 0].withUnsafeBufferPointer { try files.keep($0, of: 3, round: round) }
    }
    #expect(try files.residual(of: 3, before: 5) == nil)
    try keep(1, round: 2)
    try keep(2, round: 4)
    #expect(try files.residual(of: 3, before: 2) == nil)
    #expect(try files.residual(of: 3, before: 4) == [1, 0])
    #expect(try files.residual(of: 3, before: 9) == [2, 0])
    #expect(try files.residual(of: 4, before: 9) == nil)
    try files.withdraw(3, round: 4)
    #expect(try files.residual(of: 3, before: 9) == [1, 0])
    // A run that can go on from round 5 needs the newest file before it, and that before the last.
    try keep(2, round: 4)
    files.keepOnly(for: [5])
    try keep(3, round: 6)
    try keep(4, round: 7)
    let found = try FileManager.default.subpathsOfDirectory(atPath: folder)
      .filter { $0.hasSuffix(".safetensors") }
    #expect(found.count == 3)
    #expect(try files.residual(of: 3, before: 3) == nil)
    #expect(try files.residual(of: 3, before: 5) == [2, 0])
    #expect(try files.residual(of: 3, before: 7) == [3, 0])
    #expect(try files.residual(of: 3, before: 8) == [4, 0])
  }
}
