// A file that cannot be read is not a file that is missing, and a folder is made, listed and removed with the
// cause where that fails.

import Foundation
import Safetensors
import TestSupport
import Testing

@Suite("looking at files and folders")
struct FileReadingTests {
  /// A link to itself: it is there, and opening it fails with ELOOP, for every user.
  private func loop(_ path: String) throws {
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: path)
  }

  private func number(_ body: () throws -> Void) -> Int32? {
    (#expect(throws: SafetensorsError.self) { try body() })?.errorNumber
  }

  @Test("what is missing is nil, and what cannot be examined is an error with its path and cause")
  func missing() throws {
    let folder = try TemporaryDirectory()
    let nothing = folder.file("nothing")
    #expect(try fileKind(of: nothing) == nil && !isThere(nothing))
    #expect(try contentsIfThere(of: nothing) == nil && namesIfThere(in: nothing) == nil)
    try Data([1, 2, 3]).write(to: URL(filePath: folder.file("file")))
    #expect(try fileKind(of: folder.path) == .folder && fileKind(of: "/dev/null") == .other)
    #expect(try fileKind(of: folder.file("file")) == .file)
    #expect(try fileKind(of: folder.file("file/below")) == nil)
    let path = folder.file("loop")
    try loop(path)
    #expect(number { _ = try isThere(path) } == ELOOP)
    #expect(number { _ = try contentsIfThere(of: path) } == ELOOP)
    #expect(number { _ = try namesIfThere(in: path) } == ELOOP)
    #expect(number { _ = try readThrough(path) } == ELOOP)
    #expect(number { _ = try contentsIfThere(of: folder.path) } == EISDIR)
    let error = #expect(throws: SafetensorsError.self) { try isThere(path) }
    #expect(error?.description == "\(path): Too many levels of symbolic links")
  }

  @Test("contents and names are whole, and a file of too many bytes is refused")
  func whole() throws {
    let folder = try TemporaryDirectory()
    let bytes = (0..<200_000).map { UInt8(truncatingIfNeeded: $0) }
    try Data(bytes).write(to: URL(filePath: folder.file("b")))
    try makeFolders(folder.file("a/deep/one"))
    #expect(try namesIfThere(in: folder.path) == ["a", "b"])
    #expect(try contentsIfThere(of: folder.file("b")) == bytes)
    #expect(try contentsIfThere(of: folder.file("b"), atMost: bytes.count) == bytes)
    #expect(
      number { _ = try contentsIfThere(of: folder.file("b"), atMost: bytes.count - 1) } == nil)
    var seen: [UInt8] = []
    #expect(try readThrough(folder.file("b")) { seen += $0 } == bytes.count)
    #expect(seen == bytes)
  }

  @Test("folders are made once, and not where a file has the name")
  func folders() throws {
    let folder = try TemporaryDirectory()
    try makeFolders(folder.file("a/b/"))
    try makeFolders(folder.file("a/b"))
    #expect(try fileKind(of: folder.file("a/b")) == .folder)
    try Data().write(to: URL(filePath: folder.file("file")))
    #expect(number { try makeFolders(folder.file("file")) } == EEXIST)
    #expect(number { try makeFolders(folder.file("file/below")) } == ENOTDIR)
    try removeIfThere(folder.file("file"))
    try removeIfThere(folder.file("file"))
    #expect(try !isThere(folder.file("file")))
    #expect(number { try removeIfThere(folder.file("a")) } == EISDIR)
  }

  @Test("leftovers of killed processes are removed, other files stay")
  func temporaries() throws {
    let folder = try TemporaryDirectory()
    let kept = [".hidden", "notes.tmp", "x.csv"]
    let mark = UUID().uuidString
    for name in kept + [".x.csv.\(mark).tmp", ".x.csv.12-3.tmp"] {
      try Data().write(to: URL(filePath: folder.file(name)))
    }
    try removeTemporaries(in: folder.path)
    #expect(try namesIfThere(in: folder.path) == kept)
    try removeTemporaries(in: folder.file("nothing"))
  }

  @Test("a model directory whose weights or index cannot be examined is not one without weights")
  func collection() throws {
    for name in ["model.safetensors", "model.safetensors.index.json"] {
      let folder = try TemporaryDirectory()
      let error = #expect(throws: SafetensorsError.self) {
        try SafetensorsCollection(directory: folder.path)
      }
      #expect(error?.errorNumber == ENOENT)
      try loop(folder.file(name))
      let found = #expect(throws: SafetensorsError.self) {
        try SafetensorsCollection(directory: folder.path)
      }
      #expect(found?.errorNumber == ELOOP && found?.path == folder.file(name))
    }
  }
}
