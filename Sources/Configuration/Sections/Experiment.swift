// An experiment file as a value. Each section has its own file beside this one; the table in
// ExperimentKeys.swift lists the keys of all sections, and nothing else reads the file.

internal import Corpora
internal import Federation
internal import Files
internal import FineTuning
internal import Kernels
internal import Sparsity

/// One experiment: a model, a corpus, who owns which examples, what is trained and what travels.
package struct Experiment: Sendable, Equatable {
  /// The pretrained model.
  package var model = Model()
  /// The tokenized corpus.
  package var data = DataSet()
  /// What the model is trained to do.
  package var task = TaskSection()
  /// Which client owns which training examples.
  package var partition = PartitionSection()
  /// The trained adapter.
  package var adapter = AdapterSection()
  /// What travels between the server and the clients.
  package var method = MethodSection()
  /// Rounds, cohorts and the server's optimizer.
  package var federation = FederationSection()
  /// What is clipped and how much noise is added.
  package var privacy = PrivacySection()
  /// What a client does in a round.
  package var local = LocalSection()
  /// When and on what the trained vector is evaluated.
  package var evaluation = EvaluationSection()
  /// How the work is carried out on a rank; changes no result beyond rounding.
  package var compute = ComputeSection()
  /// When the state is saved; changes no result.
  package var checkpoint = CheckpointSection()
  /// When a run that hangs is ended; changes no result.
  package var watchdog = WatchdogSection()
  /// What is written besides the tables; changes no result.
  package var output = OutputSection()
  /// What clients' devices and links can do, and who is there and in time by that.
  package var system = SystemSection()
  /// The one number that all randomness is derived from.
  package var seed: UInt64 = 0

  /// An experiment of defaults, whose model and data are still to be named.
  package init() {}
}
