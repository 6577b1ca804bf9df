// A device that is open: its queue, its kernels and its memory.

internal import CDeviceKernels
internal import COpenCL
internal import Glibc
package import Kernels

/// An OpenCL device that computes the kernels of `Sources/CDeviceKernels`.
///
/// Memory of the device has addresses of pages that the host cannot read, of the same size: an
/// access by mistake ends the process at once.
package final class OpenCLDevice: KernelDevice {
  package let description: String
  package let addresses: Range<UInt>
  private let queue: OpaquePointer
  private let onFailure: (String) -> Never
  private var regions = DeviceRegions()
  /// How many models have each copy of the host's memory, by its start.
  private var mirrors: [UInt: Int] = [:]
  private var kernels: [UnsafeRawPointer: UnsafeMutableRawPointer] = [:]
  private var copies: [HostCopy] = []
  private var scratch: (memory: UnsafeMutableRawPointer, byteCount: Int)?
  private var nextCopy = 0
  /// Copies that others replaced while a kernel was launched, which may still read them.
  private var replacedCopies: [UnsafeMutableRawPointer] = []
  /// Whether the kernels are those of an earlier process.
  package private(set) var isFromCache = false

  /// Copies of the host's integers that are kept: one step uses few different ones, again and
  /// again.
  private static let keptCopies = 32
  private static let page = 4096

  /// Opens a device and compiles the kernels for it.
  ///
  /// - Parameters:
  ///   - cache: keeps compiled programs; nil compiles each time.
  ///   - readsCache: false compiles anew, and replaces what the cache has.
  ///   - onFailure: ends the process if the device fails while it computes; it gets a line for the
  ///     user.
  /// - Throws: `DeviceError` if it cannot be opened, cannot compute the CPU's bits, or does not
  ///   compile a kernel: the compiler's log follows in the lines after the first.
  package init(
    _ device: OpenCLDescription, cache: ProgramCache? = nil, readsCache: Bool = true,
    onFailure: @escaping (String) -> Never = { fatalError($0) }
  ) throws {
    description = device.line
    self.onFailure = onFailure
    if let reason = device.reasonAgainst {
      throw DeviceError("\(device.name) cannot compute the bits of the CPU: \(reason)")
    }
    var opened: OpaquePointer?
    let code = withUnsafePointer(to: device.device) { cocl_open($0, &opened) }
    guard code == 0, let opened else {
      throw DeviceError("\(device.name) cannot be opened: \(openCLError(code))")
    }
    queue = opened
    // Twice its memory, so that pieces that were freed leave enough in one piece.
    let bytes = 2 * device.memoryBytes / Self.page * Self.page
    guard
      let start = mmap(nil, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
      start != MAP_FAILED
    else {
      cocl_close(opened)
      throw DeviceError(
        "\(device.name): this process may not reserve \(bytes) bytes of addresses (ulimit -v)")
    }
    addresses = UInt(bitPattern: start)..<UInt(bitPattern: start) + UInt(bytes)
    try build(device, cache: cache, readsCache: readsCache)
  }

  deinit {
    for kernel in kernels.values { cocl_free_kernel(kernel) }
    for copy in copies { cocl_free(copy.memory) }
    for region in regions.all { cocl_free(region.memory) }
    cocl_close(queue)
    munmap(UnsafeMutableRawPointer(bitPattern: addresses.lowerBound), addresses.count)
  }

  private func build(
    _ device: OpenCLDescription, cache: ProgramCache?, readsCache: Bool
  ) throws {
    let options = "-cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt"
    let program = cellm_device_program()!
    let key = "\(device.line)\n\(options)\n\(String(cString: program))"
    if readsCache, let binary = cache?.program(for: key) {
      let code = binary.withUnsafeBytes {
        cocl_build(queue, program, $0.baseAddress, $0.count, options, nil, 0)
      }
      // A binary that the driver refuses is made again.
      isFromCache = code == 0
      if isFromCache { return }
    }
    var log = [CChar](repeating: 0, count: 1 << 16)
    let code = cocl_build(queue, program, nil, 0, options, &log, log.count)
    guard code == 0 else {
      let lines = String(
        decoding: log.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      throw DeviceError("\(device.name): \(openCLError(code))\n\(lines)")
    }
    guard let cache else { return }
    var size = 0
    guard cocl_binary(queue, nil, &size) == 0, size > 0 else { return }
    var binary = [UInt8](repeating: 0, count: size)
    guard binary.withUnsafeMutableBytes({ cocl_binary(queue, $0.baseAddress, &size) }) == 0 else {
      return
    }
    cache.keep(binary, for: key)
  }

  // MARK: - Memory

  package func allocate(byteCount: Int) -> UnsafeMutableRawPointer {
    let bytes = (byteCount + Self.page - 1) / Self.page * Self.page
    guard let start = regions.gap(of: bytes, in: addresses),
      let address = UnsafeMutableRawPointer(bitPattern: start)
    else { onFailure("no addresses for \(bytes) bytes of \(description)") }
    regions.add(DeviceRegion(start: start, byteCount: bytes, memory: deviceMemory(bytes)))
    return address
  }

  package func scratch(byteCount: Int) -> UnsafeMutableRawPointer {
    if let scratch, scratch.byteCount >= byteCount { return scratch.memory }
    if let scratch { deallocate(scratch.memory) }
    let memory = allocate(byteCount: byteCount)
    scratch = (memory, byteCount)
    return memory
  }

  package func deallocate(_ memory: UnsafeMutableRawPointer) {
    guard let region = regions.remove(start: UInt(bitPattern: memory)) else { return }
    cocl_free(region.memory)
  }

  package func mirror(_ memory: UnsafeRawPointer, byteCount: Int) {
    let start = UInt(bitPattern: memory)
    mirrors[start, default: 0] += 1
    if let known = regions.remove(start: start) { cocl_free(known.memory) }
    let copy = deviceMemory(byteCount)
    check(cocl_write(queue, copy, 0, memory, UInt64(byteCount)), "copying weights to")
    regions.add(DeviceRegion(start: start, byteCount: byteCount, memory: copy))
  }

  package func removeMirror(of memory: UnsafeRawPointer) {
    let start = UInt(bitPattern: memory)
    mirrors[start, default: 1] -= 1
    guard mirrors[start] == 0 else { return }
    mirrors[start] = nil
    if let region = regions.remove(start: start) { cocl_free(region.memory) }
  }

  package func write(
    _ bytes: UnsafeRawPointer, byteCount: Int, to memory: UnsafeMutableRawPointer
  ) {
    let (region, offset) = place(of: memory)
    check(cocl_write(queue, region.memory, offset, bytes, UInt64(byteCount)), "copying to")
  }

  package func read(
    _ memory: UnsafeRawPointer, byteCount: Int, to bytes: UnsafeMutableRawPointer
  ) {
    let (region, offset) = place(of: memory)
    check(cocl_read(queue, region.memory, offset, bytes, UInt64(byteCount)), "reading from")
  }

  package func copy(
    _ from: UnsafeRawPointer, byteCount: Int, to memory: UnsafeMutableRawPointer
  ) {
    let (source, sourceOffset) = place(of: from)
    let (target, targetOffset) = place(of: memory)
    check(
      cocl_copy(
        queue, source.memory, sourceOffset, target.memory, targetOffset, UInt64(byteCount)),
      "copying within")
  }

  private func deviceMemory(_ byteCount: Int) -> UnsafeMutableRawPointer {
    var memory: UnsafeMutableRawPointer?
    check(
      cocl_allocate(queue, UInt64(max(byteCount, 4)), &memory), "allocating \(byteCount) bytes of")
    return memory!
  }

  private func place(of address: UnsafeRawPointer) -> (DeviceRegion, offset: UInt64) {
    guard let region = regions.find(UInt(bitPattern: address)) else {
      preconditionFailure("\(address) is no memory of \(description)")
    }
    return (region, UInt64(UInt(bitPattern: address) - region.start))
  }

  // MARK: - Kernels

  package func launch(_ kernel: StaticString, _ grid: KernelGrid, _ arguments: [KernelArgument]) {
    let (items, group) = (grid.items, grid.group)
    guard items.0 > 0, items.1 > 0, items.2 > 0 else { return }
    var values: [COCLArgument] = []
    values.reserveCapacity(2 * arguments.count)
    func add(memory: UnsafeMutableRawPointer, first: UInt64) {
      values.append(COCLArgument(bits: UInt64(UInt(bitPattern: memory)), size: 8))
      values.append(COCLArgument(bits: first, size: 8))
    }
    for argument in arguments {
      switch argument {
      case .memory(let address):
        let (region, offset) = place(of: address)
        add(memory: region.memory, first: offset / 4)
      case .integers(let integers): add(memory: copy(of: integers), first: 0)
      case .floats(let floats):
        add(memory: copy(of: floats.map { Int32(bitPattern: $0.bitPattern) }), first: 0)
      case .int(let value):
        values.append(
          COCLArgument(bits: UInt64(UInt32(bitPattern: Int32(value))), size: 4))
      case .long(let value): values.append(COCLArgument(bits: UInt64(value), size: 8))
      case .float(let value):
        values.append(COCLArgument(bits: UInt64(value.bitPattern), size: 4))
      }
    }
    func whole(_ items: Int, _ group: Int) -> UInt64 {
      UInt64((items + group - 1) / group * group)
    }
    let global = [whole(items.0, group.0), whole(items.1, group.1), whole(items.2, group.2)]
    let local = [UInt64(group.0), UInt64(group.1), UInt64(group.2)]
    check(
      cocl_launch(queue, handle(kernel), values, Int32(values.count), global, local),
      "kernel \(kernel) on")
    // The driver keeps them until the kernel has read them.
    for memory in replacedCopies { cocl_free(memory) }
    replacedCopies.removeAll(keepingCapacity: true)
  }

  private func handle(_ name: StaticString) -> UnsafeMutableRawPointer {
    let key = UnsafeRawPointer(name.utf8Start)
    if let known = kernels[key] { return known }
    var found: UnsafeMutableRawPointer?
    check(cocl_kernel(queue, "\(name)", &found), "finding kernel \(name) on")
    kernels[key] = found!
    return found!
  }

  /// The host's integers on the device.
  private func copy(of integers: [Int32]) -> UnsafeMutableRawPointer {
    if let known = copies.first(where: { $0.integers == integers }) { return known.memory }
    let bytes = max(4 * integers.count, 4)
    let copy = HostCopy(integers: integers, memory: deviceMemory(bytes))
    if !integers.isEmpty {
      integers.withUnsafeBytes {
        check(cocl_write(queue, copy.memory, 0, $0.baseAddress, UInt64($0.count)), "copying to")
      }
    }
    if copies.count < Self.keptCopies {
      copies.append(copy)
    } else {
      replacedCopies.append(copies[nextCopy].memory)
      copies[nextCopy] = copy
      nextCopy = (nextCopy + 1) % Self.keptCopies
    }
    return copy.memory
  }

  private func check(_ code: Int32, _ what: @autoclosure () -> String) {
    guard code != 0 else { return }
    onFailure("\(what()) \(description): \(openCLError(code))")
  }
}

/// Integers of the host and their copy.
private struct HostCopy {
  let integers: [Int32]
  let memory: UnsafeMutableRawPointer
}
