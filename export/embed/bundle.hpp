// What a C++ program needs of a bundle: its golden samples (NumPy's .npy files, version 1) and what the manifest promises of them.
#pragma once

#include <cmath>
#include <cstdint>
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
    int64_t width = std::stoll(array.dtype.substr(2));
    if (static_cast<int64_t>(array.bytes.size()) != array.size() * width)
        throw std::runtime_error(path.string() + ": expected as many bytes as its shape says, got another number");
    return array;
}

}  // namespace npy

// The first output, and how far answers may be from the golden ones, relative to the largest output.
struct Promise {
    std::string output;
    double scale, tolerance;

    explicit Promise(const std::filesystem::path& bundle) {
        std::ifstream file(bundle / "manifest.json");
        std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        output = find(text, "\"outputs\":\\s*\\[\\s*\\{\\s*\"name\":\\s*\"([^\"]+)\"");
        scale = std::stod(find(text, "\"scale\":\\s*\\{\\s*\"" + output + "\":\\s*([0-9.e+-]+)"));
        tolerance = std::stod(find(text, "\"tolerance\":\\s*([0-9.e+-]+)"));
    }

    // Infinite where a value is not finite or the shapes differ.
    double error(const float* got, int64_t count, const npy::Array& expected) const {
        if (expected.dtype != "<f4" || count != expected.size()) return INFINITY;
        double worst = 0;
        for (int64_t i = 0; i < count; ++i) {
            double difference = std::abs(got[i] - expected.as<float>()[i]);
            if (!std::isfinite(difference)) return INFINITY;
            worst = std::max(worst, difference);
        }
        return worst / scale;
    }

  private:
    static std::string find(const std::string& text, const std::string& pattern) {
        std::smatch found;
        if (!std::regex_search(text, found, std::regex(pattern))) throw std::runtime_error("expected a bundle with a manifest.json");
        return found[1];
    }
};
