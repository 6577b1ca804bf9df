// How much memory the ranks of a run hold, as the kernel counts it. Shared pages (base weights, libraries) count in every rank
// that touched them: the number is a rank's, and sums over a node's ranks count such pages several times.

package import Communication
internal import Files

/// Resident memory of the rank that has the most.
package struct MemoryUse: Equatable {
  /// The largest resident memory of a rank now, in bytes; 0 where the system does not tell.
  package var residentBytes = 0
  /// The largest that a rank has had since it began, in bytes.
  package var peakBytes = 0

  var megabytes: Double { Double(residentBytes) / 1e6 }
  var peakMegabytes: Double { Double(peakBytes) / 1e6 }

  /// That of the ranks of a communicator.
  ///
  /// - Communication: Two reductions of 8 bytes.
  package init(over communicator: any Communicator) throws {
    let own = ProcessStatus()
    residentBytes = try communicator.maximum(own?.residentBytes ?? 0)
    peakBytes = try communicator.maximum(own?.peakResidentBytes ?? 0)
  }
}
