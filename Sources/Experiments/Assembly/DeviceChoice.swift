// The device of a rank: the one that an experiment names, or one of the node's GPUs in turn.

internal import Communication
internal import Configuration
internal import Files
internal import FineTuning
internal import Foundation
internal import OpenCLDevices

extension PreparedModel {
  /// Opens the device of a rank and tests that it computes the CPU's bits.
  ///
  /// - Returns: nil for the CPU, and what the user should know of it.
  /// - Throws: `CommandFailure` if there is no such device, or it cannot compute the experiment.
  func openDevice(
    _ experiment: Experiment, place: NodePlace
  ) throws -> (OpenCLDevice?, notice: String?) {
    let choice = experiment.compute.device
    guard choice != .cpu else { return (nil, nil) }
    do {
      if let reason = experiment.reasonAgainstDevice { throw DeviceError(reason) }
      let devices = try matching(choice)
      let rank = localRank ?? place.rank
      let device = devices[rank % devices.count]
      try checkMemory(of: device, experiment)
      let sharing = (place.size + devices.count - 1) / devices.count
      let needed = sharing * deviceBytes(experiment)
      let notice =
        needed <= device.memoryBytes
        ? nil
        : "compute.device: \(device.name) has \(byteText(device.memoryBytes)); if \(sharing) ranks"
          + " of this node share it, they need \(byteText(needed))"
      return (try OpenDevices.open(device), notice)
    } catch let error where choice == .auto {
      return (nil, "compute.device: auto takes the CPU, for \(error)")
    } catch {
      throw CommandFailure(ExitCode.usage, "compute.device: \(error)")
    }
  }

  /// The usable devices of a choice, of which a node's ranks take one each in turn.
  private func matching(_ choice: ComputeDevice) throws -> [OpenCLDescription] {
    let all = try openCLDevices()
    let found =
      switch choice {
      case .cpu: [OpenCLDescription]()
      case .gpu, .auto: all.filter(\.isGPU)
      case .named(let name):
        all.filter { $0.isCalled(name) }
      }
    guard !found.isEmpty else {
      let what = if case .named(let name) = choice { "OpenCL device called \(name)" } else { "GPU" }
      let others = all.map(\.name).joined(separator: ", ")
      throw DeviceError(
        "this node has no \(what)"
          + (all.isEmpty ? "; no OpenCL driver is installed" : "; OpenCL finds \(others)"))
    }
    guard found.contains(where: { $0.reasonAgainst == nil }) else {
      throw DeviceError("\(found[0].name) cannot compute: \(found[0].reasonAgainst ?? "")")
    }
    return found.filter { $0.reasonAgainst == nil }
  }

  /// The largest number of rows that a grid of work-groups has on every device.
  private static let mostTokens = 65_535

  private func checkMemory(of device: OpenCLDescription, _ experiment: Experiment) throws {
    guard capacity(experiment) <= Self.mostTokens else {
      throw DeviceError(
        "micro-batches have \(capacity(experiment)) tokens; give compute.micro_batch_tokens of at"
          + " most \(Self.mostTokens)")
    }
    let size = deviceSize(experiment)
    for (what, needed, most) in [
      ("", size.total, device.memoryBytes),
      (" in one piece", size.largest, device.largestAllocation),
    ] where needed > most {
      throw DeviceError(
        "\(device.name) has \(byteText(most))\(what), and a rank needs \(byteText(needed)); lower"
          + " compute.micro_batch_tokens")
    }
  }

  /// Bytes that a rank needs on a device.
  func deviceBytes(_ experiment: Experiment) -> Int { deviceSize(experiment).total }

  private func deviceSize(_ experiment: Experiment) -> (total: Int, largest: Int) {
    let size = DeviceWeights.byteCount(
      model: model, layout: layout, task: task, capacity: capacity(experiment),
      longestSequence: longestSequence)
    // Merged weights stand beside the frozen ones.
    guard experiment.method.aggregation.kind.factors == .asStack else { return size }
    return (size.total + 4 * adaptedWeightCount, size.largest)
  }
}

/// The number of this process on its node, as mpirun or srun say it. Unlike a communicator's it
/// counts the processes of all groups of a sweep.
private var localRank: Int? {
  let environment = ProcessInfo.processInfo.environment
  return ["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"]
    .compactMap { environment[$0].flatMap { Int($0) } }.first { $0 >= 0 }
}
