// All keys of the experiment file. Reading, checking, `--set`, config.yaml and the printed
// reference come from this table, so a key is either here, with an effect, or unknown.

extension ExperimentKey {
  /// All keys, in the order in which config.yaml has them.
  package static let all: [ExperimentKey] =
    modelKeys + dataKeys + taskKeys + partitionKeys + adapterKeys + methodKeys + federationKeys
    + serverKeys + privacyKeys + localKeys + evaluationKeys + computeKeys + checkpointKeys
    + watchdogKeys + outputKeys + systemKeys + [
      ExperimentKey(
        "seed", \.seed, .seed,
        "the seed of all random numbers; the same seed gives the same bits")
    ]
}
