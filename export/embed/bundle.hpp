// What a C++ program needs of a bundle: its golden samples (NumPy's .npy files, version 1) and what the manifest promises of them; and of a
// conformance suite.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

namespace npy {

struct Array {
    std::string dtype;  // as NumPy writes it: "|u1", "<f4", "<f8", "<i8"
    std::vector<int64_t> shape;
    std::vector<char> bytes;

    int64_t size() const {
        int64_t count = 1;
        for (int64_t side : shape) count *= side;
        return count;
    }

    template <typename T>
    const T* as() const {
        return reinterpret_cast<const T*>(bytes.data());
    }
};

inline Array load(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path.string() + ": expected a .npy file, got nothing there");
    std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (text.size() < 10 || text.compare(0, 6, "\x93NUMPY") != 0 || text[6] != 1)
        throw std::runtime_error(path.string() + ": expected a .npy file of version 1, got something else");
    size_t length = static_cast<unsigned char>(text[8]) + 256 * static_cast<unsigned char>(text[9]);
    if (text.size() < 10 + length) throw std::runtime_error(path.string() + ": expected a whole .npy file, got a part of one");
    std::string header = text.substr(10, length);
    std::smatch found;
    Array array;
    if (!std::regex_search(header, found, std::regex("'descr': '([^']+)'"))) throw std::runtime_error(path.string() + ": no dtype");
    array.dtype = found[1];
    if (header.find("'fortran_order': False") == std::string::npos) throw std::runtime_error(path.string() + ": expected C order");
    if (!std::regex_search(header, found, std::regex("'shape': \\(([^)]*)\\)"))) throw std::runtime_error(path.string() + ": no shape");
    std::string sides = found[1];
    const std::regex number("[0-9]+");
    for (std::sregex_iterator side(sides.begin(), sides.end(), number), end; side != end; ++side)
        array.shape.push_back(std::stoll(side->str()));
    array.bytes.assign(text.begin() + 10 + length, text.end());
    int64_t width = std::stoll(array.dtype.substr(2)), count = 1;
    for (int64_t side : array.shape)
        if (side < 0 || width < 1 || __builtin_mul_overflow(count, side, &count) || count > (int64_t{1} << 40))
            throw std::runtime_error(path.string() + ": expected a shape that fits into memory");
    if (static_cast<int64_t>(array.bytes.size()) != array.size() * width)
        throw std::runtime_error(path.string() + ": expected as many bytes as its shape says, got another number");
    return array;
}

// The largest difference; infinite where a value is not finite or the sizes differ.
inline double distance(const float* got, int64_t count, const Array& expected) {
    const bool wide = expected.dtype == "<f8";
    if ((!wide && expected.dtype != "<f4") || count != expected.size()) return INFINITY;
    double worst = 0;
    for (int64_t i = 0; i < count; ++i) {
        double difference = std::abs(got[i] - (wide ? expected.as<double>()[i] : expected.as<float>()[i]));
        if (!std::isfinite(difference)) return INFINITY;
        worst = std::max(worst, difference);
    }
    return worst;
}

}  // namespace npy

// The group of the first match in a text file; throws where there is none.
inline std::string find(const std::filesystem::path& path, const std::string& pattern) {
    std::ifstream file(path, std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    std::smatch found;
    if (!std::regex_search(text, found, std::regex(pattern))) throw std::runtime_error(path.string() + ": expected /" + pattern + "/, got none");
    return found[1];
}

// What a bundle's manifest promises: the first output, and how far answers may be from the golden ones, relative to the largest output.
struct Promise {
    std::string output, file;  // file: of its golden values
    double scale, tolerance;

    explicit Promise(const std::filesystem::path& bundle) {
        const std::filesystem::path manifest = bundle / "manifest.json";
        output = find(manifest, R"x("outputs":\s*\[\s*\{\s*"name":\s*"([^"]+)")x");
        file = std::regex_replace(output, std::regex("[^A-Za-z0-9_-]"), "_") + ".npy";
        scale = std::stod(find(manifest, R"x("scale":\s*\{\s*"[^"]*":\s*([0-9.e+-]+))x"));  // of the first output
        tolerance = std::stod(find(manifest, R"x("tolerance":\s*([0-9.e+-]+))x"));
    }
};

// Runs every case of a conformance suite (export/conformance/README.md) whose steps are in a model file; run(file, input) answers floats.
// Returns the exit code.
template <typename Run>
int conformance(const std::filesystem::path& suite, const std::string& model, Run run) {
    int cases = 0, wrong = 0;
    std::error_code unreadable;
    for (const auto& place : std::filesystem::directory_iterator(suite, unreadable)) {
        if (!std::filesystem::exists(place.path() / model)) continue;
        double tolerance = 0, scale = 0, error = INFINITY;
        std::string reason;
        try {
            tolerance = std::stod(find(place.path() / "spec.json", R"x("tolerance":\s*([0-9.e+-]+))x"));
            npy::Array expected = npy::load(place.path() / "output.npy");
            if (expected.dtype != "<f8") throw std::runtime_error("expected output.npy in float64, got " + expected.dtype);
            for (int64_t i = 0; i < expected.size(); ++i) scale = std::max(scale, std::abs(expected.as<double>()[i]));
            std::vector<float> got = run(place.path() / model, npy::load(place.path() / "input.npy"));
            error = npy::distance(got.data(), static_cast<int64_t>(got.size()), expected) / (scale > 0 ? scale : 1);
        } catch (const std::exception& problem) {
            reason = std::string(", ") + problem.what();
        }
        ++cases;
        if (error <= tolerance) continue;
        ++wrong;
        std::printf("%s: error %.1e, tolerance %.1e%s\n", place.path().filename().c_str(), error, tolerance, reason.c_str());
    }
    std::printf("%d cases, %d wrong\n", cases, wrong);
    return cases > 0 && wrong == 0 ? 0 : 1;
}
