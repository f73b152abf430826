// A bundle in a C++ program, through LibTorch: raw uint8 pixels into model.pt, nothing prepared. See README.md.
#include <torch/script.h>

#include <cstdio>

#include "../bundle.hpp"

namespace fs = std::filesystem;

// A conformance case: the steps alone.
static std::vector<float> run(const fs::path& file, npy::Array input) {
    const auto dtype = input.dtype == "|u1" ? torch::kUInt8 : input.dtype == "<u2" ? torch::kUInt16 : torch::kFloat32;
    torch::Tensor answer = torch::jit::load(file.string()).forward({torch::from_blob(input.bytes.data(), input.shape, dtype)}).toTensor().contiguous();
    return {answer.data_ptr<float>(), answer.data_ptr<float>() + answer.numel()};
}

int main(int argc, char** argv) {
    if (argc == 3 && std::string(argv[1]) == "--conformance") return conformance(argv[2], "model.pt", run);
    if (argc != 2) {
        std::fprintf(stderr, "usage: classify BUNDLE\n       classify --conformance FOLDER\n");
        return 2;
    }
    const fs::path bundle = argv[1];
    try {
        const Promise promise(bundle);
        torch::InferenceMode guard;
        torch::jit::Module model = torch::jit::load((bundle / "model.pt").string(), torch::kCPU);
        double worst = 0;
        int samples = 0;
        for (const auto& sample : fs::directory_iterator(bundle / "golden")) {
            npy::Array pixels = npy::load(sample.path() / "pixels.npy");
            if (pixels.dtype != "|u1") throw std::runtime_error("expected pixels in uint8, got " + pixels.dtype);
            torch::Tensor input = torch::from_blob(pixels.bytes.data(), pixels.shape, torch::kUInt8);  // that is all
            torch::Tensor answer = model.forward({input}).toTensor().contiguous();
            npy::Array expected = npy::load(sample.path() / promise.file);
            double error = npy::distance(answer.data_ptr<float>(), answer.numel(), expected) / promise.scale;
            std::printf("%-20s class %lld, error %.1e\n", sample.path().filename().c_str(),
                        static_cast<long long>(answer.argmax(1)[0].item<int64_t>()), error);
            worst = std::max(worst, error);
            ++samples;
        }
        std::printf("%d golden samples: error %.1e, tolerance %.1e\n", samples, worst, promise.tolerance);
        return samples > 0 && worst <= promise.tolerance ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
