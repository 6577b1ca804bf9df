// What a run needs beside its plan: who owns which examples, what a client minimizes, and where
// training starts. Each rank makes its own.

package import Communication
package import Configuration
package import Corpora
package import Federation
internal import RunFiles

/// What a run needs beside its plan.
package struct Assembly {
  /// Who owns which training examples.
  package var partition: any Population
  /// What a client minimizes.
  package var objective: any LocalObjective
  /// Where training starts; that of rank 0 counts.
  package var initialVector: [Float]
  /// What the user should know of it.
  package var notices: [String]
  /// The device of this rank's micro-batches, in one line; nil for the CPU alone.
  package var device: String?
  /// The directory of a run that `writeTrained` writes.
  package var trainedName: String
  /// Writes a trained vector, and the base weights where factors were merged into them, to a directory
  /// in a form that other programs read.
  package var writeTrained:
    (_ vector: [Float], _ mergedBase: [Float], _ directory: String) throws -> Void
  /// Writes who has how many examples of which label to a new CSV file; nil where nobody can say.
  package var writePartition: ((_ path: String) throws -> Void)?

  /// An assembly of its parts.
  package init(
    partition: any Population, objective: any LocalObjective, initialVector: [Float],
    notices: [String] = [], device: String? = nil, trainedName: String = RunDirectory.adapterName,
    writePartition: ((_ path: String) throws -> Void)? = nil,
    writeTrained:
      @escaping (_ vector: [Float], _ mergedBase: [Float], _ directory: String) throws -> Void
  ) {
    self.partition = partition
    self.objective = objective
    self.initialVector = initialVector
    self.notices = notices
    self.device = device
    self.trainedName = trainedName
    self.writePartition = writePartition
    self.writeTrained = writeTrained
  }
}

/// Makes the assembly of an experiment on each rank. Called by all ranks; what can fail on one of
/// them stands in `Communicator.agreed`.
package typealias Assembler =
  (_ experiment: Experiment, _ assets: AssetDirectory, _ communicator: any Communicator) throws ->
  Assembly
