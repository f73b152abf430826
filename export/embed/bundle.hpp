// What a C++ program needs of a bundle: its golden samples (NumPy's .npy files, version 1), what the manifest promises of them, and the
// comparison. A program brings a Model: made from a file, called with pixels, answering the file's outputs in their order.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace fs = std::filesystem;
using nlohmann::json;

namespace npy {

struct Array {
    std::string dtype;  // as NumPy writes it: "|u1", "<u2", "<f4", "<f8"
    std::vector<int64_t> shape;
    std::vector<char> bytes;

    template <typename T>
    const T* as() const {
        return reinterpret_cast<const T*>(bytes.data());
    }
};

inline std::string between(const std::string& text, const std::string& start, char end) {
    size_t from = text.find(start), to = from == std::string::npos ? from : text.find(end, from + start.size());
    if (to == std::string::npos) throw std::runtime_error("expected " + start + " in the header of a .npy file, got none");
    return text.substr(from + start.size(), to - from - start.size());
}

inline Array load(const fs::path& path) {
    static const std::map<std::string, int64_t> WIDTHS = {{"|u1", 1}, {"<u2", 2}, {"<f4", 4}, {"<f8", 8}};
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path.string() + ": expected a .npy file, got nothing there");
    std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (text.size() < 10 || text.compare(0, 6, "\x93NUMPY") != 0 || text[6] != 1)
        throw std::runtime_error(path.string() + ": expected a .npy file of version 1, got something else");
    size_t length = static_cast<unsigned char>(text[8]) + 256 * static_cast<unsigned char>(text[9]);
    if (text.size() < 10 + length) throw std::runtime_error(path.string() + ": expected a whole .npy file, got a part of one");
    const std::string header = text.substr(10, length);
    Array array{between(header, "'descr': '", '\''), {}, {text.begin() + 10 + length, text.end()}};
    if (!WIDTHS.count(array.dtype) || header.find("'fortran_order': False") == std::string::npos)
        throw std::runtime_error(path.string() + ": expected uint8, uint16, float32 or float64 in C order, got " + header);
    std::istringstream sides(between(header, "'shape': (", ')'));
    int64_t side, count = WIDTHS.at(array.dtype);
    const auto wanted = static_cast<int64_t>(array.bytes.size());
    for (char comma = ','; comma == ',' && sides >> side; comma = 0, sides >> comma) {
        count = side < 0 || side > wanted ? -1 : count * side;
        if (count < 0 || count > wanted) break;
        array.shape.push_back(side);
    }
    if (!sides.eof() || count != wanted) throw std::runtime_error(path.string() + ": expected as many bytes as its shape says, got another number");
    return array;
}

}  // namespace npy

// One output of a model.
struct Answer {
    std::vector<int64_t> shape;
    std::vector<float> values;
};

// The largest difference; infinite where a value is not finite, or the shape is another.
inline double distance(const Answer& got, const npy::Array& expected) {
    const bool wide = expected.dtype == "<f8";
    if ((!wide && expected.dtype != "<f4") || got.shape != expected.shape || got.values.empty()) return INFINITY;
    double worst = 0;
    for (size_t i = 0; i < got.values.size(); ++i) {
        double difference = std::abs(got.values[i] - (wide ? expected.as<double>()[i] : expected.as<float>()[i]));
        if (!std::isfinite(difference)) return INFINITY;
        worst = std::max(worst, difference);
    }
    return worst;
}

inline json read_json(const fs::path& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error(path.string() + ": expected a JSON document, got nothing there");
    return json::parse(file);
}

// Runs a bundle's golden samples through one of its files. Returns the exit code: 0 where all answers are within the tolerance.
template <typename Model>
int check_golden(const fs::path& bundle, const std::string& file) {
    if (!fs::exists(bundle / "manifest.json")) throw std::runtime_error(bundle.string() + ": expected a bundle, a folder with manifest.json");
    const json manifest = read_json(bundle / "manifest.json"), contract = manifest.at("contract"), power = manifest.at("report").at("power");
    for (const json& other : contract.at("other_inputs"))
        throw std::runtime_error("expected a model that takes pixels alone, got one that takes " + other.at("name").get<std::string>() + ", too");
    const json &outputs = contract.at("outputs"), &golden = manifest.at("golden");
    const double tolerance = power.at("tolerance");
    double worst = 0;
    Model model(bundle / file);
    for (const std::string name : golden) {
        npy::Array pixels = npy::load(bundle / "golden" / name / "pixels.npy");
        const std::vector<Answer> answers = model(pixels);
        if (answers.size() != outputs.size()) throw std::runtime_error("expected as many outputs as the contract has, got another number");
        double error = 0;
        for (size_t i = 0; i < answers.size(); ++i) {
            const std::string output = outputs[i].at("name"), values = manifest.at("golden_files").at(output);
            const double scale = power.at("scale").at(output);
            if (!(scale > 0)) throw std::runtime_error("expected a scale above 0 of " + output + ", got another");
            error = std::max(error, distance(answers[i], npy::load(bundle / "golden" / name / values)) / scale);
        }
        const std::vector<float>& first = answers[0].values;
        const auto classes = first.begin() + first.size() / std::max<int64_t>(pixels.shape.at(0), 1);  // of the first picture
        std::printf("%-20s class %td, error %.1e\n", name.c_str(), std::max_element(first.begin(), classes) - first.begin(), error);
        worst = std::max(worst, error);
    }
    std::printf("%zu golden samples: error %.1e, tolerance %.1e\n", golden.size(), worst, tolerance);
    return !golden.empty() && worst <= tolerance ? 0 : 1;
}

// Runs every case of a conformance suite with models (export/conformance/README.md). Returns the exit code.
template <typename Model>
int check_conformance(const fs::path& suite, const std::string& file) {
    const json cases = read_json(suite / "index.json").at("cases");
    if (!cases.empty() && !fs::exists(suite / cases[0].get<std::string>() / file))
        throw std::runtime_error(suite.string() + ": expected a suite with models, as python -m tests.conformance --models FOLDER writes it");
    size_t wrong = 0;
    for (const std::string name : cases) {
        const json spec = read_json(suite / name / "spec.json");
        npy::Array input = npy::load(suite / name / "input.npy");
        const npy::Array expected = npy::load(suite / name / "output.npy");
        if (expected.dtype != "<f8") throw std::runtime_error(name + ": expected output.npy in float64, got " + expected.dtype);
        const double* values = expected.as<double>();
        double scale = 0, error = INFINITY;
        for (size_t i = 0; i < expected.bytes.size() / sizeof(double); ++i) scale = std::max(scale, std::abs(values[i]));
        std::string reason;
        try {
            error = distance(Model(suite / name / file)(input).at(0), expected) / (scale > 0 ? scale : 1);
        } catch (const std::exception& problem) {
            reason = std::string(", ") + problem.what();
        }
        if (error <= spec.at("tolerance").get<double>()) continue;
        ++wrong;
        std::printf("%s: error %.1e, tolerance %.1e%s\n", name.c_str(), error, spec.at("tolerance").get<double>(), reason.c_str());
    }
    std::printf("%zu cases, %zu wrong\n", cases.size(), wrong);
    return !cases.empty() && wrong == 0 ? 0 : 1;
}

// What a program's main() answers: the exit code of its work, or 1 and one line.
template <typename Work>
int told(Work work) {
    try {
        return work();
    } catch (const std::exception& error) {
        std::istringstream lines(error.what());  // the reason, then LibTorch's stack; or the place in OpenVINO's source, then the reason
        std::string reason;
        while (std::getline(lines, reason) && reason.rfind("Exception from", 0) == 0) {}
        std::fprintf(stderr, "error: %s\n", reason.c_str());
        return 1;
    }
}

// A program's main(): BUNDLE, or --conformance FOLDER.
template <typename Model>
int check_main(int argc, char** argv, const std::string& file) {
    return told([&] {
        const bool suite = argc > 1 && std::string(argv[1]) == "--conformance";
        if (argc == 3 && suite) return check_conformance<Model>(argv[2], file);
        if (argc == 2 && !suite) return check_golden<Model>(argv[1], file);
        std::fprintf(stderr, "usage: classify BUNDLE\n       classify --conformance FOLDER\n");
        return 2;
    });
}
