// All ranks compute with the same files. Nodes may have copies of their own, of which one may be
// old: the contents are compared before the first round, by digests that one rank of each host
// makes.

internal import Communication
internal import Digests
internal import Federation
internal import Files
import Foundation
internal import RunFiles

extension Communicator {
  /// Throws on every rank unless all ranks see files of the same names and contents.
  ///
  /// A host's leader reads for all ranks of its host that see the same files as it does; a rank
  /// that sees others reads for itself.
  ///
  /// - Parameters:
  ///   - onProgress: Called every 64 MB.
  ///   - list: This rank's files, in one order on all ranks.
  /// - Throws: `RunFailure` with 65 that names both hosts and the first file that differs.
  /// - Communication: Three all-gathers of 8 bytes a rank; where files differ, two broadcasts of
  ///   their list.
  func requireSameFiles(
    onProgress: @escaping () -> Void = {}, of list: () throws -> [String]
  ) throws {
    guard size > 1 else { return }
    let paths = try agreed(list)
    let identity = try agreed { try Self.identity(of: paths) }
    let identities = try allGather(values: [identity])
    let isReader = rank == node.leader || identities[node.leader] != identity
    let seen = try agreed {
      SeenFiles(
        rank: rank, host: hostName,
        files: isReader ? try paths.map { try InputFile($0, onProgress: onProgress) } : [])
    }
    let digests = try allGather(values: [isReader ? seen.digest : 0])
    guard
      let other = digests.indices.first(where: { digests[$0] != 0 && digests[$0] != digests[0] })
    else { return }
    let first = try broadcast(seen, root: 0)
    let second = try broadcast(seen, root: other)
    try agreed { throw CommandFailure(ExitCode.data, first.difference(from: second)) }
  }

  /// A hash of the files as this host knows them, without their contents.
  private static func identity(of paths: [String]) throws -> UInt64 {
    var hash = XXHash64()
    for path in paths {
      var found = stat()
      guard stat(path, &found) == 0 else { throw CommandFailure.system(path, errno) }
      hash.update([
        Int(found.st_dev), Int(found.st_ino), Int(found.st_size), found.st_mtim.tv_sec,
        found.st_mtim.tv_nsec,
      ])
    }
    return hash.value
  }
}

/// The files that a rank sees.
private struct SeenFiles: Codable {
  var rank: Int
  var host: String
  var files: [InputFile]

  /// A hash of names and contents, not 0.
  var digest: UInt64 {
    var hash = XXHash64()
    for file in files { hash.update(Array("\(file.name) \(file.xxh64)\n".utf8)) }
    return max(hash.value, 1)
  }

  /// The first difference, in one line.
  func difference(from other: SeenFiles) -> String {
    let ranks =
      "rank \(rank) on \(host) and rank \(other.rank) on \(other.host) see different files"
    for index in 0..<max(files.count, other.files.count) {
      let own = files.indices.contains(index) ? files[index] : nil
      let theirs = other.files.indices.contains(index) ? other.files[index] : nil
      guard own?.name != theirs?.name || own?.xxh64 != theirs?.xxh64 else { continue }
      return "\(ranks): \(Self.text(own)) and \(Self.text(theirs)); give all hosts the same files"
    }
    return ranks
  }

  private static func text(_ file: InputFile?) -> String {
    file.map { "\($0.path) (\($0.bytes) bytes, XXH64 \($0.xxh64))" } ?? "no further file"
  }
}

extension InputFile {
  /// The last part of the path.
  fileprivate var name: String { path.split(separator: "/").last.map(String.init) ?? path }
}
