// The comparison of two experiments by their keys.

internal import Federation

extension Experiment {
  /// The lines in which it differs from one of which a run was begun; what changes no result may.
  package func differences(from saved: Experiment) -> [String] {
    var (now, then) = (self, saved)
    now.checkpoint = then.checkpoint
    now.watchdog = then.watchdog
    now.output = then.output
    if now.federation.rounds > then.federation.rounds, !then.roundsMatter {
      now.federation.rounds = then.federation.rounds
    }
    now.compute.threads = then.compute.threads
    now.compute.device = then.compute.device
    now.federation.uploads = then.federation.uploads
    guard now != then else { return [] }
    return ExperimentKey.all.compactMap { key in
      let (new, old) = (key.write(now), key.write(then))
      return new == old ? nil : "\(key.path) is \(new ?? "not set"), there \(old ?? "not set")"
    }
  }

  /// Whether what happens in a round depends on how many there will be.
  private var roundsMatter: Bool {
    let schedules = [federation.server.schedule.kind, local.schedule.kind]
    return privacy.targetEpsilon != nil || schedules.contains { $0 == .linear || $0 == .cosine }
  }
}
